//! One test or more for each false statement that users' trials have found, named after its number
//! in docs/incidents.md. Each of them failed before its fix.

mod check_screen;
mod f01_pause;
mod f01_restart;
mod f02_check_without_exporter;
mod f02_listen_address;
mod f03_flapping;
mod f04_master_returns_empty;
mod f05_times_are_the_faults;
mod f06_axis;
mod f07_map;
mod f08_receivers;
mod f09_own_faults;
mod f10_full_syncs_restart;
mod f11_failover_in_one_sentence;
mod f12_alertmanager_example;
mod f13_effects_at_recovery;
mod f14_dead_page;
mod f_full_sync_each_time;
mod incident8_two_servers;
mod loss_first_sentence;
mod messages;
mod one_severity;
mod silence_command_runs;
