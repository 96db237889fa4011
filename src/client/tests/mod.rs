//! The command against a small server on a Unix socket.

mod answers;
mod errors;
mod remote;
mod server;

use std::fmt::Write as _;
use std::io::{BufRead, Cursor};

use clap::{CommandFactory, Parser};

use super::args::Cli;
use super::commands::run;
use super::console::Console;
use super::environment::Environment;
use super::error::ClientError;
use server::Server;

/// What a command wrote, and how it ended.
struct Outcome {
    out: String,
    notes: String,
    result: Result<(), ClientError>,
}

impl Outcome {
    /// As a person would see it, standard error marked by `!`.
    fn shown(&self) -> String {
        let mut shown = self.out.clone();
        for line in self.notes.lines() {
            let _ = writeln!(shown, "! {line}");
        }
        if let Err(error) = &self.result {
            let _ = writeln!(shown, "! stirrup: {error}");
            for line in error.advice() {
                let _ = writeln!(shown, "!   {line}");
            }
            let _ = writeln!(shown, "! exit code {}", error.exit_code());
        }
        shown
    }
}

/// Runs `stirrup` with these arguments against a socket.
async fn stirrup_at(socket: &std::path::Path, line: &str, answers: Option<&str>) -> Outcome {
    let socket = Some(socket.to_owned());
    let project = Some("demo".to_owned());
    stirrup_in(&Environment { socket, project, ..Environment::default() }, line, answers).await
}

/// Runs `stirrup` with these arguments and in this environment.
async fn stirrup_in(environment: &Environment, line: &str, answers: Option<&str>) -> Outcome {
    let words = std::iter::once("stirrup").chain(line.split(' '));
    let cli = Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"));
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let result = {
        let mut console = Console {
            out: Box::new(&mut out),
            notes: Box::new(&mut notes),
            answers: answers.map(|text| Box::new(Cursor::new(text)) as Box<dyn BufRead>),
            colour: false,
            bar: false,
        };
        run(cli, environment, &mut console).await
    };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { out: text(out), notes: text(notes), result }
}

async fn stirrup(server: &Server, line: &str) -> Outcome {
    stirrup_at(server.socket(), line, None).await
}

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn help() {
    let mut all = String::new();
    let mut command = Cli::command().term_width(100);
    command.build();
    collect_help(&mut command, &mut all);
    insta::assert_snapshot!(all);
}

fn collect_help(command: &mut clap::Command, all: &mut String) {
    let help = command.render_help();
    let _ = writeln!(all, "==== {}\n{help}", command.get_bin_name().unwrap_or("stirrup"));
    for inner in command.get_subcommands_mut() {
        collect_help(inner, all);
    }
}

/// A line for every command that makes a call.
const EVERY_COMMAND: &[&str] = &[
    "health",
    "version",
    "ls demo",
    "image list",
    "image list --project other",
    "image show debian",
    "cp demo debian demo copy",
    "mv demo debian other trixie",
    "snap create demo node1 snap",
    "snap ls demo",
    "snap rm demo debian",
    "image copy debian@v2 copy --to-project other --store rbd",
    "image rename debian trixie --to-project other",
    "image protect debian",
    "image unprotect debian",
    "image default debian v2",
    "image default debian",
    "image tag list debian",
    "image tag show debian v2",
    "image tag create debian v2 --protect",
    "image tag protect debian v2",
    "image tag unprotect debian v2",
    "image tag remove debian v2",
    "image show coming",
    "image abandon coming",
    "image export debian@v2 /srv/debian.raw",
    "image export debian rbd:backup/debian",
    "image public debian",
    "image private debian",
    "image profile debian",
    "image profile debian --forget",
    "rm demo debian",
    "image remove debian -p demo",
    "pro demo node1 debian",
    "pro demo node1 debian --chap --mutual-chap",
    "pro demo node1 --size 40GiB --iops 1000 --bandwidth 100MiB",
    "showpro demo",
    "dpro demo node1",
    "disk list",
    "disk show node1",
    "disk create data debian --lun 3 --initiator iqn.a* --initiator iqn.b --address 10.0.0.0/8 --portal-group 2 --chap",
    "disk redirect node1 192.0.2.9 --permanently",
    "disk recall node1",
    "disk create data debian --edit",
    "disk create data --size 40GiB",
    "disk create data debian --read-only --iops 100 --bandwidth 10MiB --burst 5 --chap-per-node --mutual-chap",
    "disk set data --initiator iqn.a* --address 10.0.0.0/8 --portal-group 2 --chap --renew-chap --read-only",
    "disk set data --no-initiators --any-address --all-portal-groups --no-chap --read-write",
    "disk set data --chap-per-node=always",
    "disk qos data",
    "disk qos data --iops 100 --read-bandwidth 10MiB --write-iops 20 --burst 5",
    "disk qos data --none",
    "disk enable data",
    "disk disable data",
    "disk expose data",
    "disk unexpose data",
    "disk migrate data node1 --from node2",
    "disk migrate data node1 --force",
    "disk tag list node1",
    "disk tag show node1 v2",
    "disk tag create node1 v2",
    "disk tag remove node1 v2",
    "disk rollback node1 v2 --force",
    "disk flatten node1",
    "disk create safe debian --encryption luks2",
    "pro demo safe debian --encryption luks1 --no-wait",
    "disk snapshot node1@v2 snap",
    "disk resize data 40GiB",
    "disk resize data +1GiB",
    "disk remove node1",
    "node list",
    "node show node1",
    "node create node1 --mac 52:54:00:12:34:56 --initiator iqn.2010-04.org.ipxe:node1",
    "node remove node1",
    "node bind node1 data",
    "node unbind node1",
    "node list --mac 52-54-00-12-34-56",
    "node rearm node1 --renew",
    "node ip demo node1",
    "node ipxe node1",
    "iscsi create demo debian data",
    "iscsi rm demo node1",
    "iscsi ls",
    "iscsi ls demo",
    "db ls -p demo",
    "db ls --project demo --name data",
    "showdisks demo",
    "target list",
    "target show iqn.2026-01.io.stirrup:demo:node1",
    "session list",
    "session list --target iqn.2026-01.io.stirrup:demo:node1",
    "target drain iqn.2026-01.io.stirrup:demo:node1 --seconds 30",
    "session logout 7",
    "session kill 7",
    "project ls",
    "project show demo",
    "project create demo --disks 10 --bytes 10TiB --nodes 8 --portal-group 2 --store rbd",
    "project create demo --image debian@v2 --disk-size 40GiB --iops 1000 --burst 10",
    "project rm demo",
    "token list",
    "token create ci operator --project demo --days 30",
    "token remove ci",
    "certificate list",
    "certificate create ci.example operator --project demo",
    "certificate remove ci.example",
    "audit --limit 2",
    "whoami",
    "job list",
    "job show 3",
    "job cancel 3",
    "job wait 3",
    "events",
    "events --type disk --type job.ended --project demo --since a-1",
    "node boot-arguments node1",
];

/// Every command: what it asks for, and what it shows.
#[tokio::test]
async fn every_command() {
    let server = Server::start(answers::all());
    let mut transcript = String::new();
    for line in EVERY_COMMAND {
        let outcome = stirrup(&server, line).await;
        let _ = writeln!(transcript, "$ stirrup {line}");
        for request in server.requests() {
            let _ = writeln!(transcript, "> {request}");
        }
        let _ = writeln!(transcript, "{}", outcome.shown());
    }
    insta::assert_snapshot!(transcript);
}

/// What the commands ask for are calls of the API as it describes itself, and no call is left out.
#[tokio::test]
async fn commands_and_api_agree() {
    let description = serde_json::to_value(crate::control::api::openapi()).unwrap();
    let mut unused = std::collections::BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        let methods = ["get", "put", "post", "patch", "delete"].into_iter();
        unused.extend(
            methods.filter(|m| item.get(m).is_some()).map(|m| (m.to_uppercase(), path.clone())),
        );
    }
    let known = unused.clone();
    let mut answers = answers::all();
    answers.extend(answers::imports(&[("succeeded", 100)]));
    let server = Server::start(answers);
    let directory = tempfile::tempdir().unwrap();
    let download = format!("image download debian {}", directory.path().join("x").display());
    let file = directory.path().join("file");
    std::fs::write(&file, "0123456789").unwrap();
    let upload = format!("image upload {} coming", file.display());
    let more = ["import demo debian /x", &download, &upload];
    for line in EVERY_COMMAND.iter().copied().chain(more) {
        stirrup(&server, line).await;
    }
    for request in server.requests() {
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let path = path.split('?').next().unwrap();
        let call = known.iter().find(|(m, template)| m == method && fits(template, path));
        unused.remove(call.unwrap_or_else(|| panic!("not in the API: {request}")));
    }
    assert!(unused.is_empty(), "no command makes these calls: {unused:?}");
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(&path).all(|(t, p)| t == p || t.starts_with('{'))
}

/// `--json` is what the API said, byte for byte, on standard output and nothing else anywhere.
#[tokio::test]
async fn json_is_verbatim() {
    let server = Server::start(answers::all());
    let get = |path: &str| server.canned("GET", path);
    for (line, body) in [
        ("ls demo --json", get("/v1/images?project=demo")),
        ("--json job list", get("/v1/jobs")),
        ("version --json", get("/v1/version")),
        ("showpro demo --json", get("/v1/disks?project=demo")),
        ("node show node1 --json", get("/v1/projects/demo/nodes/node1")),
        (
            "pro demo node1 debian --json",
            server.canned("PUT", "/v1/projects/demo/nodes/node1/provision"),
        ),
        ("rm demo debian --json", String::new()),
    ] {
        let outcome = stirrup(&server, line).await;
        assert!(outcome.result.is_ok(), "{line}");
        assert_eq!(outcome.out.trim_end(), body, "{line}");
        assert_eq!(outcome.notes, "", "{line}");
    }
    let outcome = stirrup(&server, "health --json").await;
    assert_eq!(outcome.out.trim_end(), get("/v1/health"));
    assert!(matches!(outcome.result, Err(ClientError::Degraded)));
}

#[tokio::test]
async fn removal_asks_whoever_is_there() {
    let server = Server::start(answers::all());
    for line in [
        "dpro demo node1",
        "rm demo debian",
        "disk remove node1",
        "disk rollback node1 v2",
        "disk tag remove node1 v2",
        "image remove debian",
    ] {
        for (answer, done) in
            [("y\n", true), ("YES\n", true), ("n\n", false), ("\n", false), ("", false)]
        {
            let outcome = stirrup_at(server.socket(), line, Some(answer)).await;
            assert_eq!(outcome.result.is_ok(), done, "{line}: {answer:?}");
            assert_eq!(server.requests().len(), usize::from(done), "{line}: {answer:?}");
            assert!(outcome.notes.contains("[y/N]"), "{}", outcome.notes);
        }
        let outcome = stirrup_at(server.socket(), &format!("{line} --yes"), Some("")).await;
        assert!(outcome.result.is_ok());
        assert!(!outcome.notes.contains("[y/N]"));
        server.requests();
    }
}

#[tokio::test]
async fn import_follows_the_job_to_its_end() {
    let server = Server::start(answers::imports(&[
        ("running", 0),
        ("running", 35),
        ("running", 38),
        ("succeeded", 100),
    ]));
    let outcome = stirrup(&server, "import demo debian /images/debian.qcow2 --format qcow2").await;
    let requests = server.requests();
    assert_eq!(requests.len(), 5, "{requests:?}");
    insta::assert_snapshot!(format!("> {}\n{}", requests[0], outcome.shown()));
}

#[tokio::test]
async fn an_upload_goes_on_where_it_broke_off() {
    let server = Server::start(answers::uploads());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("disk");
    std::fs::write(&file, "0123456789").unwrap();
    let sum = "1".repeat(64);
    let line = format!("image upload {} coming --sha256 {sum}", file.display());
    let outcome = stirrup(&server, &line).await;
    assert!(outcome.result.is_ok(), "{}", outcome.shown());
    let requests = server.requests();
    let path = "/v1/projects/demo/images/coming/upload";
    let begin: serde_json::Value =
        serde_json::from_str(requests[0].strip_prefix(&format!("PUT {path} ")).unwrap()).unwrap();
    assert_eq!(
        (&begin["size_bytes"], &begin["format"], &begin["sha256"]),
        (&10.into(), &"raw".into(), &sum.as_str().into())
    );
    assert_eq!(requests[1], format!("PATCH {path} 10 bytes at 0"));
    assert_eq!(requests[2], requests[0], "the same call");
    assert_eq!(requests[3], format!("PATCH {path} 6 bytes at 4"));
    assert!(
        outcome.notes.ends_with("image debian is there in project demo\n"),
        "{}",
        outcome.notes
    );

    // Another file is another upload, and what does not pass ends it.
    std::fs::write(&file, "QFI\u{1b}345678").unwrap();
    let outcome = stirrup(&server, &line).await;
    let request = &server.requests()[0];
    let other: serde_json::Value =
        serde_json::from_str(request.strip_prefix(&format!("PUT {path} ")).unwrap()).unwrap();
    assert_ne!(other["key"], begin["key"]);
    assert_eq!(other["format"], "raw");
    drop(outcome);
    let line = format!("image upload {} coming", directory.path().join("none").display());
    let outcome = stirrup(&server, &line).await;
    assert!(outcome.shown().contains("none: No such file"), "{}", outcome.shown());
    let line = format!("image upload {} coming", directory.path().display());
    assert!(stirrup(&server, &line).await.shown().contains("not a regular file"));
}

#[tokio::test]
async fn import_from_a_pool_names_the_image() {
    let server = Server::start(answers::imports(&[("succeeded", 100)]));
    let line = "image import debian rbd:images/debian-13@v1 --fix-boot-chs --store local";
    assert!(stirrup(&server, line).await.result.is_ok());
    let request = server.requests().remove(0);
    assert!(
        request.contains("\"rbd\":\"images/debian-13@v1\"") && !request.contains("file"),
        "{request}"
    );
}

#[tokio::test]
async fn import_fails_as_its_job_does() {
    let server = Server::start(answers::imports(&[("failed", 35)]));
    insta::assert_snapshot!(
        stirrup(&server, "import demo debian /images/debian.qcow2").await.shown()
    );
    let server = Server::start(answers::imports(&[("failed", 35)]));
    let outcome = stirrup(&server, "import demo debian /images/debian.qcow2 --json").await;
    assert!(outcome.result.is_err());
    assert!(outcome.out.contains("\"failed\""), "{}", outcome.out);
}

#[tokio::test]
async fn a_download_is_whole_or_not_there() {
    let server = Server::start(answers::all());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("disk");
    let line = format!("image download debian@v2 {}", file.display());
    let outcome = stirrup(&server, &line).await;
    assert!(outcome.result.is_ok(), "{}", outcome.shown());
    assert_eq!(std::fs::read(&file).unwrap(), b"\"the bytes\"");
    let line = format!("image download none {}", directory.path().join("other").display());
    let outcome = stirrup(&server, &line).await;
    assert!(matches!(outcome.result, Err(ClientError::Answer { .. })), "{}", outcome.shown());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no part is left");
}

#[tokio::test]
async fn a_token_goes_with_every_call() {
    let server = Server::start(answers::all());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "stirrup_ci.secret\n").unwrap();
    let line = format!("whoami --token-file {}", file.display());
    assert!(stirrup(&server, &line).await.result.is_ok());
    assert_eq!(server.credentials(), [Some("Bearer stirrup_ci.secret".to_owned())]);
    stirrup(&server, "whoami").await;
    assert_eq!(server.credentials(), [None]);
    let outcome = stirrup(&server, "whoami --token-file /nonexistent").await;
    assert!(outcome.shown().contains("/nonexistent"), "{}", outcome.shown());
}

#[tokio::test]
async fn who_follows_events_goes_on_where_the_stream_ended() {
    let first = "id: a-7\n\nid: a-8\nevent: end\ndata: {\"id\":\"a-8\",\"time\":\"t\",\"type\":\"end\",\
                 \"reason\":\"stirrupd is stopping\"}\n\n";
    let problem = serde_json::json!({"type": "about:blank", "title": "Forbidden", "status": 403,
        "detail": "not any more", "code": "forbidden", "instance": "/v1/events"});
    let mut answers = server::Answers::new();
    for (path, status, body) in [
        ("/v1/events?since=start", 200, first.to_owned()),
        ("/v1/events?since=a-8", 403, problem.to_string()),
    ] {
        answers.entry(("GET", path.to_owned())).or_default().push_back((status, body));
    }
    let server = Server::start(answers);
    let outcome = stirrup(&server, "events --follow").await;
    assert!(matches!(outcome.result, Err(ClientError::Problem(_))), "{}", outcome.shown());
    assert_eq!(outcome.out, "t end              stirrupd is stopping\n");
    let asked = ["GET /v1/events?since=start", "GET /v1/events?since=a-8"];
    assert_eq!(server.requests(), asked);
}

#[tokio::test]
async fn import_need_not_be_waited_for() {
    let server = Server::start(answers::imports(&[]));
    let outcome = stirrup(&server, "image import -p demo debian relative.raw --no-wait").await;
    assert!(outcome.result.is_ok());
    assert!(outcome.notes.contains("stirrup job show 3"), "{}", outcome.notes);
    let request = &server.requests()[0];
    let absolute = std::env::current_dir().unwrap().join("relative.raw");
    assert!(request.contains(absolute.to_str().unwrap()), "{request}");
}

#[test]
fn completion_knows_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let line = format!("completion {shell}");
        let outcome = runtime.block_on(stirrup_at("/nowhere".as_ref(), &line, None));
        assert!(outcome.out.contains("showpro"), "{shell}");
    }
}

#[tokio::test]
async fn a_name_that_is_not_there_may_have_been_meant_otherwise() {
    let mut answers = answers::all();
    let problem = |what: &str| {
        serde_json::json!({"type": "urn:stirrup:problem:x", "title": "Not Found", "status": 404,
            "detail": format!("no {what} in project 'demo'"), "instance": "/",
            "code": format!("{}-not-found", what.split(' ').next().unwrap())})
        .to_string()
    };
    for (path, what) in [
        ("images/debain", "image 'debain'"),
        ("disks/dtaa", "disk 'dtaa'"),
        ("nodes/nod1", "node 'nod1'"),
        ("disks/else", "disk 'else'"),
    ] {
        let path = format!("/v1/projects/demo/{path}");
        answers.insert(("GET", path), [(404, problem(what))].into());
    }
    let server = Server::start(answers);
    for (line, near) in [
        ("image show debain", Some("debian")),
        ("disk show dtaa", Some("data")),
        ("node show nod1", Some("node1")),
        ("disk show else", None),
    ] {
        let outcome = stirrup(&server, line).await;
        let meant = near.map(|near| format!("did you mean '{near}'?"));
        assert!(outcome.result.is_err());
        match meant {
            Some(meant) => assert!(outcome.shown().contains(&meant), "{}", outcome.shown()),
            None => assert!(!outcome.shown().contains("did you mean"), "{}", outcome.shown()),
        }
    }
}

/// What `docs/m2-commands.md` says of M2's commands are commands.
#[test]
fn the_table_of_m2_s_commands_is_true() {
    let text = include_str!("../../../docs/m2-commands.md");
    let mut words = std::collections::BTreeSet::new();
    let mut commands = 0;
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        words.insert(cells[1].trim_matches('`').split(' ').next().unwrap().to_owned());
        for example in cells[3].split("<br>").filter_map(|it| it.trim().strip_prefix("`stirrup ")) {
            let example = example.split('`').next().unwrap();
            let words = std::iter::once("stirrup").chain(example.split(' '));
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{example}: {}", parsed.err().unwrap());
            commands += 1;
        }
    }
    let m2 = [
        "cp", "db", "download", "dpro", "export", "import", "iscsi", "ls", "mv", "node", "pro",
        "project", "rm", "showpro", "snap", "upload",
    ];
    assert!(m2.iter().all(|command| words.contains(*command)), "{words:?}");
    assert!(commands >= 20, "{commands}");
}
