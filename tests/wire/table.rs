//! `docs/conformance.md`: which test holds which point. Made from `points.txt` and from the list
//! of tests that this binary itself gives, so that it cannot say what is not so.
//! `UPDATE=1 cargo test --test wire table::` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

const DOCUMENT: &str = "docs/conformance.md";

/// One line of the points file.
enum Line {
    Section(String),
    Point { id: String, title: String, reference: String },
}

fn points() -> Vec<Line> {
    let section = |line: &str| line.strip_prefix("## ").map(|name| Line::Section(name.into()));
    let point = |line: &str| {
        let cells: Vec<_> = line.split(" | ").map(str::trim).collect();
        let [id, title, reference] = cells[..] else { panic!("no point: {line}") };
        Line::Point { id: id.into(), title: title.into(), reference: reference.into() }
    };
    include_str!("points.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
        .map(|line| section(line).unwrap_or_else(|| point(line)))
        .collect()
}

/// The point that a test is named after: `l01_...` is L01, `ffp_1_1_...` is FFP 1.1.
fn point_of(test: &str) -> Option<String> {
    let (first, rest) = test.split_once('_')?;
    if first == "ffp" {
        let numbers: Vec<_> =
            rest.split('_').take_while(|part| part.bytes().all(|b| b.is_ascii_digit())).collect();
        return Some(format!("FFP {}", numbers.join(".")));
    }
    let is_point = first.len() == 3
        && matches!(first.as_bytes()[0], b'l' | b'f' | b't')
        && first.bytes().skip(1).all(|b| b.is_ascii_digit());
    is_point.then(|| first.to_uppercase())
}

/// What the test binary says it has: `module::test`.
fn listed(more: &[&str]) -> Vec<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--format", "terse"])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let list = String::from_utf8(output.stdout).unwrap();
    list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// The reason of an `#[ignore = "..."]`.
fn reason_to_ignore(module: &str, test: &str) -> String {
    let source = std::fs::read_to_string(format!("tests/wire/{module}.rs")).unwrap();
    let before = source.split(&format!("fn {test}(")).next().unwrap();
    let reason = before.rsplit("#[ignore = \"").next().unwrap();
    reason.split("\"]").next().unwrap().to_owned()
}

#[test]
fn every_point_has_its_test_and_the_document_says_which() {
    let ignored = listed(&["--ignored"]);
    let mut tests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in listed(&[]) {
        let (module, test) = path.rsplit_once("::").unwrap();
        let Some(point) = point_of(test) else { continue };
        let mut cell = format!("[`{test}`](../tests/wire/{module}.rs)");
        if ignored.contains(&path) {
            write!(cell, " (**not run**: {})", reason_to_ignore(module, test)).unwrap();
        }
        tests.entry(point).or_default().push(cell);
    }
    let mut document = String::from(
        "# Conformance on the wire\n\n\
         What is tried over a socket, byte by byte, by an initiator that the tests have for it and \
         that shares no code with the target (`tests/support/raw.rs`): one test for each point, \
         named after it. Run them with `cargo test --test wire`.\n\n\
         The points are about error recovery level 0 and one connection in a session, the defaults. \
         Several connections (MC/S) are tried in the same way in `tests/wire/connections.rs`; level 1, \
         with the points of UNH-IOL's plan for it, on the core without a socket, in \
         `src/iscsi/session/tests/recovery.rs`.\n\n\
         This file is made from `tests/wire/points.txt` and from the tests there are, by \
         `UPDATE=1 cargo test --test wire table::`; a test fails when it is not what would be \
         made, when a point has no test, or a test no point. References without a document are to \
         RFC 7143.\n",
    );
    let mut count = 0;
    for line in points() {
        match line {
            Line::Section(name) => {
                write!(
                    document,
                    "\n## {name}\n\n| Point | What | Where | Test |\n|---|---|---|---|\n"
                )
                .unwrap();
            }
            Line::Point { id, title, reference } => {
                let cells = tests.remove(&id).unwrap_or_else(|| panic!("{id} has no test"));
                writeln!(document, "| {id} | {title} | {reference} | {} |", cells.join("<br>"))
                    .unwrap();
                count += 1;
            }
        }
    }
    assert!(tests.is_empty(), "tests of no point: {tests:?}");
    write!(document, "\n{count} points").unwrap();
    document.push_str(if ignored.is_empty() { ", all of them run.\n" } else { ".\n" });
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(DOCUMENT, &document).unwrap();
    }
    let written = std::fs::read_to_string(Path::new(DOCUMENT)).unwrap_or_default();
    assert!(written == document, "{DOCUMENT} is not up to date: UPDATE=1 cargo test --test wire");
}
