use std::fs;
use std::path::Path;

use super::*;

const IQN: &str = "iqn.2026-11.io.stirrup:default.n1";

fn portals(text: &[&str]) -> Vec<Portal> {
    let portal = |text: &&str| Portal { address: text.parse().unwrap(), group: 1 };
    text.iter().map(portal).collect()
}

fn boot(portals: &[Portal]) -> Boot<'_> {
    Boot {
        project: "default",
        node: "n1",
        initiator: None,
        portals,
        lun: 1,
        target: IQN,
        chap: None,
    }
}

fn script(boot: &Boot<'_>) -> Result<String, Error> {
    Templates::default().node(boot)
}

#[test]
fn a_plain_script() {
    let portals = portals(&["10.0.0.1:3260"]);
    assert_eq!(
        script(&boot(&portals)).unwrap(),
        "#!ipxe\n# default/n1\nisset ${ip} || dhcp\nset keep-san 1\n\
         sanboot --keep iscsi:10.0.0.1:tcp:3260:1:iqn.2026-11.io.stirrup:default.n1\n"
    );
}

#[test]
fn a_large_lun_is_written_as_firmware_puts_it_on_the_wire() {
    let portal = "10.0.0.1:3260".parse().unwrap();
    assert_eq!(uri(portal, 0xff, "t"), "iscsi:10.0.0.1:tcp:3260:ff:t");
    assert_eq!(uri(portal, 0x100, "t"), "iscsi:10.0.0.1:tcp:3260:4100:t");
}

#[test]
fn everything_at_once() {
    let portals = portals(&["10.0.0.1:3260", "[fd00::1]:3260", "10.0.1.1:3261"]);
    let chap =
        Credentials { initiator: ("n1", "secret-secret"), target: Some(("t", "other-secret")) };
    let initiator = Some("iqn.2026-11.io.example:n1");
    let script = script(&Boot { initiator, chap: Some(chap), lun: 17, ..boot(&portals) }).unwrap();
    let lines: Vec<&str> = script.lines().skip(4).collect();
    assert_eq!(
        lines,
        [
            "set initiator-iqn iqn.2026-11.io.example:n1",
            "set username n1",
            "set password secret-secret",
            "set reverse-username t",
            "set reverse-password other-secret",
            "sanboot --keep iscsi:10.0.0.1:tcp:3260:11:iqn.2026-11.io.stirrup:default.n1 \
             iscsi:10.0.1.1:tcp:3261:11:iqn.2026-11.io.stirrup:default.n1",
        ]
    );
}

#[test]
fn ipv6_alone_is_offered() {
    let portals = portals(&["[fd00::1]:3260"]);
    let script = script(&boot(&portals)).unwrap();
    assert!(script.contains("iscsi:[fd00::1]:tcp:3260:1:"), "{script}");
}

#[test]
fn nothing_can_be_smuggled_in() {
    let portals = portals(&["10.0.0.1:3260"]);
    for bad in ["a b", "a\nshell", "${net0/mac}", "a||b", "a;b", "", "a\"", "a\\", "é", "a#b"] {
        let chap = |initiator, target| Some(Credentials { initiator, target });
        let tries = [
            Boot { project: bad, ..boot(&portals) },
            Boot { node: bad, ..boot(&portals) },
            Boot { target: bad, ..boot(&portals) },
            Boot { initiator: Some(bad), ..boot(&portals) },
            Boot { chap: chap(("n1", bad), None), ..boot(&portals) },
            Boot { chap: chap(("n1", "secret"), Some((bad, "s"))), ..boot(&portals) },
        ];
        for boot in tries {
            assert_eq!(script(&boot), Err(Error::Unsafe), "{bad:?}");
        }
    }
    assert_eq!(script(&boot(&[])), Err(Error::NoPortal));
    let refused = Templates::default().refused("a\nshell ${x}; {{ y }}", true, "boot.ipxe");
    let refused = refused.unwrap();
    assert!(refused.contains("\necho a_shell _{x}_ {{ y }}.\n"), "{refused}");
}

#[test]
fn a_kernel_is_told_where_its_root_is() {
    let portals = portals(&["10.0.0.1:3260", "[fd00::1]:3260", "10.0.1.1:3261"]);
    let boot = Boot { initiator: Some("iqn.2026-11.io.example:n1"), lun: 17, ..boot(&portals) };
    let kernel = boot.kernel_arguments().unwrap();
    assert_eq!(
        kernel.dracut,
        "netroot=iscsi:10.0.0.1::3260:11:iqn.2026-11.io.stirrup:default.n1 \
         netroot=iscsi:10.0.1.1::3261:11:iqn.2026-11.io.stirrup:default.n1 \
         rd.iscsi.initiator=iqn.2026-11.io.example:n1 ip=dhcp rd.neednet=1"
    );
    assert_eq!(
        kernel.initramfs_tools,
        "iscsi_initiator=iqn.2026-11.io.example:n1 \
         iscsi_target_name=iqn.2026-11.io.stirrup:default.n1 iscsi_target_ip=10.0.0.1 \
         iscsi_target_port=3260 iscsi_target_group=1 ip=dhcp"
    );
}

#[test]
fn the_entry_asks_for_the_machine() {
    let entry = Templates::default().entry().unwrap();
    assert!(entry.starts_with("#!ipxe\n"), "{entry}");
    assert!(entry.contains("\nchain --replace boot?mac=${mac:hexhyp}&"), "{entry}");
    let asks_again = |retry| Templates::default().refused("why", retry, "../boot.ipxe").unwrap();
    assert!(asks_again(true).contains("\nchain --replace ../boot.ipxe ||\n"));
    assert!(!asks_again(false).contains("chain"));
    assert!(asks_again(false).ends_with("\nexit 0\n"));
}

fn write(directory: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn an_operators_templates_go_before_and_the_nearest_first() {
    let directory = tempfile::tempdir().unwrap();
    write(
        directory.path(),
        &[
            ("node.ipxe", "#!ipxe\n{% include 'hello.inc.ipxe' %}\n"),
            ("hello.inc.ipxe", "echo {{ node }} {{ lun }}\n"),
            ("projects/lab.ipxe", "#!ipxe\necho lab {{ uris | length }}\n"),
            (
                "nodes/lab/n1.ipxe",
                "{% extends 'builtin/node.ipxe' %}{% block boot %}\n\
                 kernel http://192.0.2.1/vmlinuz root=LABEL=root {{ kernel.dracut_ibft }}\n\
                 {% endblock %}",
            ),
            ("README", "{{ not a template"),
        ],
    );
    let templates = Templates::load(directory.path()).unwrap();
    let portals = portals(&["10.0.0.1:3260"]);
    let of = |project, node| templates.node(&Boot { project, node, ..boot(&portals) }).unwrap();
    assert_eq!(of("default", "n1"), "#!ipxe\necho n1 1\n");
    assert_eq!(of("lab", "n2"), "#!ipxe\necho lab 1\n");
    assert_eq!(
        of("lab", "n1"),
        "#!ipxe\n# lab/n1\nisset ${ip} || dhcp\nset keep-san 1\n\
         kernel http://192.0.2.1/vmlinuz root=LABEL=root rd.iscsi.firmware=1 ip=ibft\n"
    );
    assert!(templates.entry().unwrap().contains("chain"), "the program's own");
}

#[test]
fn a_bad_template_is_said_when_it_is_loaded() {
    for (name, text, line, why) in [
        ("node.ipxe", "#!ipxe\n\n{% if %}", 3, "syntax error"),
        ("entry.ipxe", "#!ipxe\n{{ nobody }}\n", 2, "undefined"),
        ("node.ipxe", "#!ipxe\necho\n{{ initiatr }}\n", 3, "undefined"),
        // Only where there is CHAP.
        (
            "projects/lab.ipxe",
            "#!ipxe\n{% if chap %}\n{{ chap.pasword }}\n{% endif %}",
            3,
            "undefined",
        ),
        ("nodes/a/b.ipxe", "#!ipxe\n{% include 'none.ipxe' %}\n", 2, "not"),
        ("refused.ipxe", "echo {{ reason }}\n", 0, "#!ipxe"),
        ("partial.ipxe", "a\n{% endfor %}", 2, "syntax error"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &[(name, text)]);
        let error = Templates::load(directory.path()).unwrap_err().to_string();
        let file = directory.path().join(name).display().to_string();
        let place = if line == 0 { format!("{file}: ") } else { format!("{file}:{line}: ") };
        assert!(error.starts_with(&place) && error.contains(why), "{place}: {error}");
    }
    let none = Templates::load(Path::new("/nowhere/templates")).unwrap_err().to_string();
    assert!(none.starts_with("/nowhere/templates: "), "{none}");
}

#[test]
fn a_template_gives_a_script_or_an_error() {
    let directory = tempfile::tempdir().unwrap();
    // It is fine for every example, and not for this node.
    let text = "#!ipxe\necho a\n{% if lun == 17 %}{{ nothing }}{% endif %}\n";
    write(directory.path(), &[("node.ipxe", text)]);
    let templates = Templates::load(directory.path()).unwrap();
    let portals = portals(&["10.0.0.1:3260"]);
    let error = templates.node(&Boot { lun: 17, ..boot(&portals) }).unwrap_err();
    assert!(error.to_string().contains("node.ipxe:3: "), "{error}");
    let long = "#!ipxe\n{% for i in range(20000) %}echo{% endfor %}\n";
    write(directory.path(), &[("node.ipxe", long)]);
    assert!(Templates::load(directory.path()).unwrap_err().to_string().contains("64 KiB"));
}
