//! Hooks: programs that are run before clients notice a switch-over, and after it.

use std::path::Path;

use super::{Duo, failover, last_line, replication, until_follows};

/// Adds hooks to the configuration: each appends a line to the file `seen`, and the one before it
/// ends with `code`.
fn add_hooks(folder: &Path, code: u8) {
    let config = folder.join("config.yml");
    let before = std::fs::read_to_string(&config).unwrap();
    let seen = folder.join("seen");
    let line = format!(
        "echo $REDIS_CROSS_DC_STAGE $REDIS_CROSS_DC_KIND ${{REDIS_CROSS_DC_MASTER:-nobody}} >> {}",
        seen.display()
    );
    // `$` begins a variable in the configuration.
    let line = line.replace('$', "$$");
    let hooks = format!(
        "hooks:\n\
         \x20 before: [{{name: warn, command: [/bin/sh, -c, '{line}; exit {code}'], timeout: 20s}}]\n\
         \x20 after: [{{name: DNS, command: [/bin/sh, -c, '{line}'], timeout: 20s}}]\n"
    );
    std::fs::write(config, format!("{before}\n{hooks}")).unwrap();
}

fn seen(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("seen")).unwrap_or_default()
}

#[tokio::test]
async fn hooks_run_before_clients_notice_and_once_the_new_master_is_open() {
    let duo = Duo::start().await;
    let folder = duo.folder.path();
    add_hooks(folder, 0);
    let plan = failover(folder, &[]).await.ended_with(10);
    assert!(plan.stdout.contains("hook before it: warn"), "{plan:#?}");
    assert!(plan.stdout.contains("hook after it: DNS"), "{plan:#?}");
    assert_eq!(seen(folder), "", "a plan changes nothing");
    let done = failover(folder, &["--execute"]).await.ended_with(0);
    let expected = format!(
        "before switch-over nobody\nafter switch-over {}\n",
        duo.addr(1)
    );
    assert_eq!(seen(folder), expected, "{done:#?}");
    let steps = duo.report()["steps"].to_string();
    assert!(steps.contains("hook after: DNS"), "{steps}");
    until_follows(&duo.servers[0], &duo.servers[1]).await;
}

#[tokio::test]
async fn a_hook_that_fails_beforehand_ends_the_operation_and_the_others_are_told() {
    let duo = Duo::start().await;
    let folder = duo.folder.path();
    add_hooks(folder, 7);
    let failed = failover(folder, &["--execute"]).await.ended_with(1);
    let line = last_line(&failed);
    assert!(
        line.contains("the hook \"warn\" before it failed"),
        "{failed:#?}"
    );
    assert!(line.contains("exit status: 7"), "{failed:#?}");
    assert_eq!(replication(&duo.servers[0], "role").await, "master");
    let expected = format!(
        "before switch-over nobody\nafter switch-over {}\n",
        duo.addr(0)
    );
    assert_eq!(seen(folder), expected, "{failed:#?}");
}
