//! The name of the machine.

/// What the system calls this machine: a pod's name in Kubernetes.
pub fn host_name() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}
