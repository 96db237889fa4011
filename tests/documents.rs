//! The manual pages and completion scripts that are checked in are those of the commands as they
//! are. `UPDATE=1 cargo test --test documents` rewrites them.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use stirrup::client::args::Cli;
use stirrup::config::args::DaemonArgs;

fn check(path: &str, text: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let there = std::fs::read(&path).unwrap_or_default();
    assert!(
        there == text,
        "{} is out of date: UPDATE=1 cargo test --test documents",
        path.display()
    );
}

fn commands() -> [Command; 2] {
    [Cli::command(), DaemonArgs::command()]
}

#[test]
fn completions() {
    for mut command in commands() {
        let name = command.get_name().to_owned();
        for (shell, file) in [
            (Shell::Bash, format!("{name}.bash")),
            (Shell::Zsh, format!("_{name}")),
            (Shell::Fish, format!("{name}.fish")),
        ] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, &name, &mut script);
            check(&format!("packaging/completions/{file}"), &script);
        }
    }
}

#[test]
fn manual_pages() {
    for (mut command, section) in commands().into_iter().zip(["1", "8"]) {
        command.build();
        let name = command.get_name().to_owned();
        check(&format!("docs/man/{name}.{section}"), &page(&command, section));
    }
}

/// One page for a command and all that it can do.
fn page(command: &Command, section: &str) -> Vec<u8> {
    let mut page = Vec::new();
    let man = Man::new(command.clone()).section(section).manual("Stirrup").source("stirrup");
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    page.extend_from_slice(b".SH COMMANDS\n");
    for inner in command.get_subcommands() {
        leaves(inner, &mut page);
    }
    man.render_extra_section(&mut page).unwrap();
    page
}

/// Adds every command below this one that does something itself.
fn leaves(command: &Command, page: &mut Vec<u8>) {
    if command.has_subcommands() {
        command.get_subcommands().for_each(|inner| leaves(inner, page));
        return;
    }
    let name = command.get_bin_name().unwrap_or(command.get_name()).replace('-', "\\-");
    page.extend_from_slice(format!(".SS \"{name}\"\n").as_bytes());
    // The options that every command has are told of once, above.
    let own = command.clone().mut_args(|arg| {
        let everywhere = arg.is_global_set() || matches!(arg.get_id().as_str(), "help" | "version");
        arg.hide(everywhere)
    });
    let man = Man::new(own);
    for render in
        [Man::render_description_section, Man::render_synopsis_section, Man::render_options_section]
    {
        let mut part = Vec::new();
        render(&man, &mut part as &mut dyn std::io::Write).unwrap();
        let part = String::from_utf8(part).unwrap();
        for line in part.lines().filter(|line| !line.starts_with(".ie") && !line.starts_with(".el"))
        {
            let line = if line.starts_with(".SH") { ".PP" } else { line };
            page.extend_from_slice(line.as_bytes());
            page.push(b'\n');
        }
    }
}
