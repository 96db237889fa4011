//! The loader against files that are right and wrong, and the generated documents.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::keys::{SECTIONS, Sample};
use super::*;

fn parse(text: &str) -> Result<Loaded, ConfigError> {
    Config::parse(Path::new("stirrup.toml"), text)
}

fn complaint(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(parse("").unwrap().config, Config::default());
}

/// The defaults that the documents promise are those of `Config::default`.
#[test]
fn documented_defaults_hold() {
    for section in SECTIONS {
        let mut text = String::new();
        if !section.name.is_empty() {
            text = format!("{}\n", load::shown_name(section.name));
        }
        if section.repeated.is_some() {
            text += "tag = 1\nportals = [\"[::1]:1\"]\n";
        }
        // Of a secret there are two forms, and one may be given.
        let (repeated, secret) = (section.repeated.is_some(), section.name == "discovery");
        for key in section.keys.iter().filter(|_| !repeated && !secret) {
            if let Sample::Example(value) = key.default {
                text += &format!("{} = {value}\n", key.name);
            }
        }
        let bare = parse(&text).unwrap().config;
        for key in section.keys {
            if let Sample::Default(value) = key.default {
                text += &format!("{} = {value}\n", key.name);
            }
        }
        assert_eq!(parse(&text).unwrap().config, bare, "{text}");
    }
}

/// Each sample file line, uncommented, is accepted (the secret is given once, not twice).
#[test]
fn the_whole_sample_is_accepted() {
    let text: String = reference::sample()
        .lines()
        .map(|line| line.strip_prefix('#').filter(|l| !l.starts_with(' ')).unwrap_or(line))
        .filter(|line| !line.contains("chap_secret_file ="))
        .scan(true, |single, line| {
            // The one group of [target], or groups.
            *single &= line != "[[portal_group]]";
            let key = line.split(' ').next().unwrap_or_default();
            let omit = *single && ["portals", "advertise", "portal_group_tag"].contains(&key);
            Some(if omit { "" } else { line })
        })
        .fold(String::new(), |all, line| all + line + "\n");
    let loaded = parse(&text).unwrap();
    assert_eq!(loaded.config.rbd.unwrap().pool, "rbd");
    assert_eq!(loaded.config.discovery.unwrap().user, "discovery");
    let [group] = &loaded.config.portal_groups[..] else { panic!("one group") };
    assert_eq!((group.tag, group.portals.len()), (2, 2));
}

#[test]
fn portal_groups() {
    let text = r#"
        [[portal_group]]
        tag = 1
        portals = ["10.0.0.1:3260", "[fd00::1]:3260"]
        [[portal_group]]
        tag = 0x10
        portals = ["192.0.2.1:3261"]
        advertise = ["198.51.100.1"]
        initiators = ["iqn.2026-01.org.example:*"]
        addresses = ["192.0.2.0/24", "fd00::1"]
        discovery_chap_user = "me"
        discovery_chap_secret = "twelve bytes"
    "#;
    let config = parse(text).unwrap().config;
    let chap = Chap { user: "me".into(), secret: Zeroizing::new("twelve bytes".into()) };
    let expected = [
        PortalGroup {
            tag: 1,
            portals: vec!["10.0.0.1:3260".parse().unwrap(), "[fd00::1]:3260".parse().unwrap()],
            ..PortalGroup::default()
        },
        PortalGroup {
            tag: 16,
            portals: vec!["192.0.2.1:3261".parse().unwrap()],
            advertise: vec!["198.51.100.1:3260".parse().unwrap()],
            initiators: vec!["iqn.2026-01.org.example:*".into()],
            addresses: vec![("192.0.2.0".parse().unwrap(), 24), ("fd00::1".parse().unwrap(), 128)],
            discovery: Some(chap),
        },
    ];
    assert_eq!(config.portal_groups, expected);
    assert_eq!(config.target, Config::default().target);
}

#[test]
fn every_key_is_read() {
    let text = r#"
        state_dir = "/s"
        default_store = "rbd"
        [control]
        socket = "/run/x.sock"
        allowed_uids = [1000, 0x10]
        operator_uids = [1001]
        operator_gids = [2001]
        reader_uids = [1002]
        reader_gids = [2002, 2003]
        [control.tls]
        listen = ["192.0.2.1:8443"]
        certificate = "/t/server.pem"
        key = "/t/server.key"
        client_ca = "/t/ca.pem"
        client_crl = "/t/crl.pem"
        [control.delegate]
        kind = "keystone"
        url = "https://keystone.example:5000/identity"
        ca = "/t/other.pem"
        role = "reader"
        domain = "Lab"
        timeout_seconds = 3
        cache_seconds = 0
        [log]
        format = "json"
        level = "info,stirrup::target=debug"
        [target]
        portals = ["127.0.0.1:0", "[::1]:3261"]
        advertise = ["192.0.2.1", "[2001:db8::1]:9"]
        iqn_prefix = "iqn.2020-02.org.example:rack"
        portal_group_tag = 7
        unnamed_access = "closed"
        shards = 3
        look_max_microseconds = 0
        nap_max_microseconds = 30
        [limits]
        max_sessions = 10
        max_half_open_connections = 11
        login_timeout_seconds = 12
        command_window = 13
        buffer_memory = "32 MiB"
        nop_in_interval_seconds = 0
        nop_in_timeout_seconds = 15
        data_out_timeout_seconds = 16
        tcp_keepalive_seconds = 0
        [iscsi]
        max_recv_data_segment_length = 8192
        max_burst_length = "64KiB"
        first_burst_length = "64KiB"
        max_outstanding_r2t = 2
        max_connections = 4
        error_recovery_level = 1
        header_digest = ["CRC32C"]
        data_digest = ["None"]
        chap_algorithms = ["SHA3-256", "SHA-256"]
        [discovery]
        chap_user = "me"
        chap_secret = "twelve bytes"
        [store]
        local = { directory = "/l", write_cache = true, io_threads = 5 }
        [store.rbd]
        pool = "p"
        namespace = "n"
        ceph_conf = "/c"
        ceph_user = "u"
        clients = 3
        encryption = "luks2"
        passphrase_file = "/p"
        idle_close_seconds = 5
        [cache]
        golden_memory = "1GiB"
        golden_file = "20GiB"
        golden_file_directory = "/d"
        disk_memory = 0
        [prefetch]
        readahead = false
        boot_profiles = false
        boot_seconds = 16
        boot_memory = "17MiB"
        [boot]
        listen = ["192.0.2.1:8080"]
        addresses = ["10.1.0.0/16"]
        identify_by = ["serial", "mac"]
        chap_secrets = "never"
        unknown_machines = "retry"
        templates = "/t"
        [compat.picasso]
        listen = "192.0.2.1:8000"
        [compat.smart_proxy]
        listen = "192.0.2.1:8444"
        certificate = "/t/proxy.pem"
        key = "/t/proxy.key"
        client_ca = "/t/foreman-ca.pem"
        client_crl = ""
        [compat.tgt]
        socket = "/run/tgtd.0"
        project = "cinder"
        directories = ["/dev/volumes"]
    "#;
    let config = parse(text).unwrap().config;
    let expected = Config {
        state_dir: "/s".into(),
        default_store: DefaultStore::Rbd,
        control: Control {
            socket: "/run/x.sock".into(),
            allowed_uids: vec![1000, 16],
            operator_uids: vec![1001],
            operator_gids: vec![2001],
            reader_uids: vec![1002],
            reader_gids: vec![2002, 2003],
            tls: Some(ControlTls {
                listen: vec!["192.0.2.1:8443".parse().unwrap()],
                certificate: "/t/server.pem".into(),
                key: "/t/server.key".into(),
                client_ca: "/t/ca.pem".into(),
                client_crl: Some("/t/crl.pem".into()),
            }),
            delegate: Some(Delegate {
                kind: Some(DelegateKind::Keystone),
                url: "https://keystone.example:5000/identity".into(),
                ca: Some("/t/other.pem".into()),
                role: DelegateRole::Reader,
                domain: "Lab".into(),
                timeout: Duration::from_secs(3),
                cache: Duration::ZERO,
            }),
        },
        log: Log { format: LogFormat::Json, level: "info,stirrup::target=debug".into() },
        target: Target {
            portals: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:3261".parse().unwrap()],
            advertise: vec!["192.0.2.1:3260".parse().unwrap(), "[2001:db8::1]:9".parse().unwrap()],
            iqn_prefix: "iqn.2020-02.org.example:rack".into(),
            portal_group_tag: 7,
            unnamed_access_open: false,
            shards: 3,
            look_max: Duration::ZERO,
            nap_max: Duration::from_micros(30),
        },
        portal_groups: Vec::new(),
        limits: Limits {
            sessions_max: 10,
            half_open_connections_max: 11,
            login_timeout: Duration::from_secs(12),
            command_window: 13,
            buffer_memory_bytes: 32 << 20,
            nop_in_interval: None,
            nop_in_timeout: Duration::from_secs(15),
            data_out_timeout: Duration::from_secs(16),
            tcp_keepalive: None,
        },
        iscsi: Iscsi {
            max_recv_data_segment_bytes: 8192,
            max_burst_bytes: 65536,
            first_burst_bytes: 65536,
            max_outstanding_r2t: 2,
            max_connections: 4,
            error_recovery_level: 1,
            header_digest: vec![Digest::Crc32c],
            data_digest: vec![Digest::None],
            chap_algorithms: vec![ChapAlgorithm::Sha3_256, ChapAlgorithm::Sha256],
        },
        discovery: Some(Chap { user: "me".into(), secret: Zeroizing::new("twelve bytes".into()) }),
        local: LocalStore { directory: "/l".into(), write_cache: true, io_threads: 5 },
        rbd: Some(RbdStore {
            pool: "p".into(),
            namespace: "n".into(),
            ceph_conf: "/c".into(),
            ceph_user: "u".into(),
            clients: 3,
            encryption: RbdEncryption::Luks2,
            passphrase_file: Some("/p".into()),
            idle_close: Some(std::time::Duration::from_secs(5)),
        }),
        cache: Cache {
            golden_memory_bytes: 1 << 30,
            golden_file_bytes: 20 << 30,
            golden_file_directory: "/d".into(),
            disk_memory_bytes: 0,
        },
        prefetch: Prefetch {
            readahead: false,
            boot_profiles: false,
            boot: Duration::from_secs(16),
            boot_bytes: 17 << 20,
        },
        boot: Boot {
            listen: vec!["192.0.2.1:8080".parse().unwrap()],
            addresses: vec![("10.1.0.0".parse().unwrap(), 16)],
            identify_by: vec![BootIdentity::Serial, BootIdentity::Mac],
            chap_secrets: BootSecrets::Never,
            retry_unknown: true,
            templates: Some("/t".into()),
        },
        compat: Compat {
            picasso: Some("192.0.2.1:8000".parse().unwrap()),
            smart_proxy: Some(SmartProxy {
                listen: "192.0.2.1:8444".parse().unwrap(),
                certificate: "/t/proxy.pem".into(),
                key: "/t/proxy.key".into(),
                client_ca: "/t/foreman-ca.pem".into(),
                client_crl: None,
            }),
            tgt: Some(Tgt {
                socket: "/run/tgtd.0".into(),
                project: "cinder".into(),
                directories: vec!["/dev/volumes".into()],
            }),
        },
    };
    assert_eq!(config, expected);
    // Every key of the table stands in the text above, so a new one has to be added there.
    let once = SECTIONS.iter().filter(|section| section.repeated.is_none());
    for key in once.flat_map(|section| section.keys) {
        assert!(text.contains(&format!("{} = ", key.name)) || key.name == "chap_secret_file");
    }
}

#[test]
fn complaints() {
    let lines = [
        "# a\n\n[target]\nportal = []",
        "[target]\nlisen = 1",
        "[trget]",
        "[store.ceph]",
        "pool = \"x\"",
        "[log]\nstate_dir = \"/x\"",
        "zzz = 1",
        "target = 1",
        "[target]\nshards = -1",
        "[target]\nshards = 1025",
        "[target]\nshards = \"two\"",
        "[target]\nshards = 1.5",
        "[target]\nportals = \"0.0.0.0:3260\"",
        "[target]\nportals = []",
        "[target]\nportals = [\n  \"0.0.0.0:3260\",\n  \"localhost\",\n]",
        "[target]\nportals = [3260]",
        "[target]\nadvertise = [\"0.0.0.0\"]",
        "[target]\niqn_prefix = \"stirrup\"",
        "[limits]\nbuffer_memory = \"1KiB\"",
        "[limits]\nbuffer_memory = \"lots\"",
        "[limits]\nbuffer_memory = true",
        "[control]\nsocket = \"stirrup.sock\"",
        "[control]\nallowed_uids = [\"root\"]",
        "[control.tls]\nlisten = [\"[::1]:8443\"]\ncertificate = \"/c\"\nkey = \"/k\"",
        "[control.tls]",
        "[control.delegate]\nkind = \"hil\"",
        "[control.delegate]\nkind = \"hil\"\nurl = \"hil.example\"",
        "[control.delegate]\nkind = \"ldap\"",
        "[log]\nformat = \"xml\"",
        "[log]\nlevel = \"stirrup=loud\"",
        "[iscsi]\nmax_burst_length = 512",
        "[iscsi]\nfirst_burst_length = \"2MiB\"",
        "[iscsi]\ndata_digest = [\"MD5\"]",
        "default_store = \"rbd\"",
        "[store.rbd]\nceph_user = \"client.admin\"",
        "[discovery]\nchap_user = \"me\"",
        "[discovery]\nchap_secret = \"twelve bytes\"",
        "[discovery]\nchap_user = \"me\"\nchap_secret = \"short\"",
        "[discovery]\nchap_user = \"me\"\nchap_secret_file = \"/nowhere/secret\"",
        "[iscsi]\nchap_algorithms = [\"SHA-512\"]",
        "[iscsi]\nchap_algorithms = []",
        "[target]\nportal_group_tag = 0",
        "[portal_group]\ntag = 1",
        "portal_group = [1]",
        "[[portal_group]]\nportals = [\"[::1]:1\"]",
        "[[portal_group]]\ntag = 1",
        "[[portal_group]]\ntag = 1\nportal = []",
        "[[portal_group]]\ntag = 1\nportals = [\"[::1]:1\"]\n[[portal_group]]\ntag = 1\nportals = [\"[::1]:2\"]",
        "[[portal_group]]\ntag = 1\nportals = [\"[::1]:1\"]\naddresses = [\"10.0.0.0/33\"]",
        "[[portal_group]]\ntag = 1\nportals = [\"[::1]:1\"]\ninitiators = [\"*\"]",
        "[[portal_group]]\ntag = 1\nportals = [\"[::1]:1\"]\ndiscovery_chap_user = \"me\"",
        "[[portal_group]]\ntag = 1\nportals = [\"[::1]:1\"]\ndiscovery_chap_secret = \"twelve bytes\"",
        "[[portal_group]]\ntag = 1\nportals = [\"[::1]:1\"]\n[target]\nportals = [\"[::1]:2\"]",
        "[[target]]\nshards = 1",
        "[[portal_group]]\ntag = 1\nportals = [\"[::1]:1\"]\n[[portal_group]]\ntag = 2\nportals = [\"[0::1]:1\"]",
        "[target",
        "a = 1\na = 2",
    ];
    let all: Vec<_> = lines.iter().map(|text| complaint(text)).collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_file_that_is_not_there() {
    let error = Config::load(Path::new("/nowhere/stirrup.toml")).unwrap_err();
    assert_eq!(error.line(), None);
    assert!(error.to_string().contains("--config"), "{error}");
}

#[test]
fn secrets_that_others_may_read_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let (file, secret) = (dir.path().join("c.toml"), dir.path().join("secret"));
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::write(&secret, "a long enough one\n").unwrap();
    mode(&secret, 0o600);
    let text = format!("[discovery]\nchap_user = \"me\"\nchap_secret_file = {secret:?}\n");
    std::fs::write(&file, text).unwrap();
    mode(&file, 0o644);

    let loaded = Config::load(&file).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let chap = loaded.config.discovery.unwrap();
    assert_eq!(*chap.secret, "a long enough one");
    assert!(!format!("{chap:?}").contains("long enough"), "a secret must not be printed");

    mode(&secret, 0o644);
    assert_eq!(Config::load(&file).unwrap().warnings.len(), 1);

    std::fs::write(&file, "[discovery]\nchap_user = \"me\"\nchap_secret = \"0123456789ab\"\n")
        .unwrap();
    assert_eq!(Config::load(&file).unwrap().warnings.len(), 1);
    mode(&file, 0o640);
    assert_eq!(Config::load(&file).unwrap().warnings.len(), 0);
}

proptest::proptest! {
    /// Whatever a file holds: it is taken or refused, and a refusal names the file.
    #[test]
    fn any_text_is_taken_or_refused(text in "[\\PC\n]{0,200}") {
        if let Err(error) = parse(&text) {
            proptest::prop_assert!(error.to_string().starts_with("stirrup.toml:"));
        }
    }

    /// As above, for values of every key.
    #[test]
    fn any_value_is_taken_or_refused(
        value in "(-?[0-9]{1,20}|\"[ -!#-\\[\\]-~]{0,40}\"|\\[\"[0-9a-f.:/]{0,20}\"\\]|true|\\{\\}|1e9)",
    ) {
        for section in SECTIONS {
            for key in section.keys.iter().filter(|key| !key.name.ends_with("chap_secret_file")) {
                let table = if section.name.is_empty() { String::new() } else { load::shown_name(section.name) + "\n" };
                let _ = parse(&format!("{table}{} = {value}\n", key.name));
            }
        }
    }
}

/// Compares a generated document with the one that is checked in; `UPDATE=1` rewrites it.
fn check_document(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "{} is out of date: UPDATE=1 cargo test --lib config::", path.display());
}

#[test]
fn the_documents_are_up_to_date() {
    check_document("docs/configuration.md", &reference::page());
    check_document("packaging/stirrup.toml", &reference::sample());
}
