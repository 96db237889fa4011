//! The two commands as a shell sees them: exit codes and what is written where.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

const DAEMON: &str = env!("CARGO_BIN_EXE_stirrupd");
const CLIENT: &str = env!("CARGO_BIN_EXE_stirrup");

fn run(program: &str, line: &str) -> Output {
    Command::new(program)
        .args(line.split_whitespace())
        .env_remove("STIRRUP_PROJECT")
        .env_remove("STIRRUP_SOCKET")
        .env_remove("STIRRUP_HOST")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[test]
fn check_config_says_ok_or_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("stirrup.toml");
    let line = format!("check-config --config {}", file.display());

    std::fs::write(&file, "[target]\nshards = 2\n").unwrap();
    let output = run(DAEMON, &line);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stdout), format!("{}: ok\n", file.display()));

    std::fs::write(&file, "[target]\nshrads = 2\n").unwrap();
    let output = run(DAEMON, &line);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let expected = "unknown key `shrads` in [target]; did you mean `shards`?";
    assert_eq!(text(&output.stderr), format!("stirrupd: {}:2: {expected}\n", file.display()));
}

#[test]
fn the_printed_sample_is_a_good_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("stirrup.toml");
    std::fs::write(&file, run(DAEMON, "sample-config").stdout).unwrap();
    let output = run(DAEMON, &format!("check-config --config {}", file.display()));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn bad_arguments_end_with_2() {
    for (program, line) in [
        (DAEMON, "frobnicate"),
        (DAEMON, "quick"),
        (DAEMON, "quick --memory 1G --file /x"),
        (CLIENT, ""),
        (CLIENT, "frobnicate"),
        (CLIENT, "image show debian"),
        (CLIENT, "job show three"),
    ] {
        let output = run(program, line);
        assert_eq!(output.status.code(), Some(2), "{line}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{line}: {output:?}");
    }
}

#[test]
fn a_daemon_that_is_not_there_ends_with_1() {
    let output = run(CLIENT, "--socket /nowhere/stirrup.sock target list");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = text(&output.stderr);
    assert!(
        stderr
            .starts_with("stirrup: cannot reach stirrupd at /nowhere/stirrup.sock: no such file\n")
    );
    assert!(stderr.contains("systemctl status stirrupd"), "{stderr}");
}
