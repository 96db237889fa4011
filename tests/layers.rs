//! The layer rule of `src/lib.rs`: which room may import which, held against the code.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The table in the crate's documentation: room, and the rooms it may import. `*` is any.
fn table() -> BTreeMap<String, Vec<String>> {
    let lib = fs::read_to_string("src/lib.rs").unwrap();
    let names = |cell: &str| -> Vec<String> {
        let mut names = Vec::new();
        // Only what stands in backquotes is a name.
        for (i, part) in cell.split('`').enumerate() {
            if i % 2 == 1 {
                names.push(part.split("::").next().unwrap_or(part).to_owned());
            }
        }
        names
    };
    lib.lines()
        .filter_map(|line| line.strip_prefix("//! | [`"))
        .flat_map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            let rooms = names(&format!("`{}", cells[0]));
            let allowed = match cells[2].trim() {
                "everything" => vec!["*".to_owned()],
                cell => names(cell),
            };
            rooms.into_iter().map(move |room| (room, allowed.clone())).collect::<Vec<_>>()
        })
        .collect()
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The room a source file belongs to.
fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix("src").unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Code only: tests may import what they like, comments and strings import nothing.
fn code(text: &str) -> String {
    let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    product
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let table = table();
    assert!(table.len() > 10, "the table was not read: {table:?}");
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let mut wrong = Vec::new();
    for path in files {
        let name = path.to_str().unwrap();
        let is_test = name.contains("/tests") || name.contains("conformance");
        if is_test || name.starts_with("src/bin") || name == "src/lib.rs" {
            continue;
        }
        let room = room_of(&path);
        let allowed =
            table.get(&room).unwrap_or_else(|| panic!("{name}: `{room}` is not in the table"));
        let text = code(&fs::read_to_string(&path).unwrap());
        for import in text.split("crate::").skip(1) {
            let imported: String =
                import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let fine = imported == room
                || !table.contains_key(&imported)
                || allowed.iter().any(|name| *name == imported || name == "*");
            if !fine {
                wrong.push(format!("{name}: `{room}` imports `{imported}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_in_one_room_only() {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    for path in files.into_iter().filter(|path| !path.starts_with("src/rbd")) {
        let text = fs::read_to_string(&path).unwrap();
        let found = text.contains("unsafe {") || text.contains("allow(unsafe_code");
        assert!(!found, "{} has unsafe code", path.display());
    }
}

#[test]
fn no_file_holds_more_than_one_subject() {
    const LINES_MAX: usize = 700;
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    for path in files.into_iter().filter(|path| !path.to_string_lossy().contains("/tests/")) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}
