//! The arguments of `stirrupd`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use zeroize::Zeroizing;

use super::{Chap, DEFAULT_PATH, parse, parse_size};

/// Exit codes, for the help texts.
const EXIT_CODES: &str = "Exit codes: 0 ended cleanly, 1 failed while running or starting, 2 bad \
                          arguments or configuration.";

/// Sources of `stirrupd quick` for which the options about Ceph mean nothing.
const NOT_CEPH: [&str; 3] = ["memory", "null", "file"];

/// A userspace iSCSI target: every machine gets its own copy-on-write clone of a golden image.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(
    name = "stirrupd",
    version,
    after_help = EXIT_CODES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct DaemonArgs {
    #[command(subcommand)]
    command: Option<DaemonCommand>,
    #[command(flatten)]
    run: RunArgs,
}

impl DaemonArgs {
    /// What to do; `run` when no command is named.
    #[must_use]
    pub fn into_command(self) -> DaemonCommand {
        self.command.unwrap_or(DaemonCommand::Run(self.run))
    }
}

/// What `stirrupd` can do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum DaemonCommand {
    /// Run the daemon (this is what happens without a command)
    Run(RunArgs),
    /// Read the configuration, say what is wrong with it, and change nothing
    CheckConfig(RunArgs),
    /// Print a configuration file with every key in it, explained and commented out
    SampleConfig,
    /// Serve one LUN: no configuration, no catalog
    Quick(Box<QuickArgs>),
}

/// Arguments of `stirrupd run` and `stirrupd check-config`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RunArgs {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,
}

/// Arguments of `stirrupd quick`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    group(ArgGroup::new("volume").required(true)),
    after_help = "The first line on standard output is the iscsi:// URL, once it serves. Ends on \
                  SIGTERM or SIGINT.\n\nExit codes: 0 ended cleanly, 1 failed while running or \
                  starting, 2 bad arguments."
)]
pub struct QuickArgs {
    #[command(flatten)]
    source: QuickSourceArgs,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:3260", value_parser = parse::portal)]
    pub listen: SocketAddr,
    /// Number of the logical unit, 0 to 16383
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=0x3fff))]
    pub lun: u16,
    /// Logical block length in bytes
    #[arg(long, value_name = "BYTES", default_value = "512", value_parser = block_bytes)]
    pub block_size: u32,
    /// Refuse writes
    #[arg(long)]
    pub read_only: bool,
    /// The Ceph cluster's configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/ceph/ceph.conf", conflicts_with_all = NOT_CEPH)]
    pub ceph_conf: PathBuf,
    /// Ceph user, without `client.`
    #[arg(long, value_name = "USER", default_value = "admin", conflicts_with_all = NOT_CEPH)]
    pub ceph_user: String,
    /// Memory for the golden image of a clone in Ceph; 0: none
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size, conflicts_with_all = NOT_CEPH)]
    pub golden_memory: u64,
    /// Demand CHAP (other users of this machine see the secret in its process list)
    #[arg(long, value_name = "USER:SECRET", value_parser = chap)]
    pub chap: Option<Chap>,
    /// Name of the target
    #[arg(long, value_name = "NAME", default_value = "iqn.2026-01.io.stirrup:quick", value_parser = parse::target_name)]
    pub iqn: String,
    /// Threads that serve connections; 0: one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub shards: usize,
    /// Acknowledge writes before they are on stable storage, and say so to initiators
    #[arg(long)]
    pub write_cache: bool,
    /// Least level that is logged, also by module
    #[arg(long, value_name = "FILTER", default_value = "warn", value_parser = parse::log_filter)]
    pub log: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Args)]
struct QuickSourceArgs {
    /// Serve memory, lost at the end
    #[arg(long, value_name = "SIZE", group = "volume", value_parser = volume_size)]
    memory: Option<u64>,
    /// Serve a volume that reads as zeros and forgets writes
    #[arg(long, value_name = "SIZE", group = "volume", value_parser = volume_size)]
    null: Option<u64>,
    /// Serve a raw image file or a block device
    #[arg(long, value_name = "PATH", group = "volume")]
    file: Option<PathBuf>,
    /// Serve an image in Ceph
    #[arg(long, value_name = "POOL[/NAMESPACE]/IMAGE", group = "volume", value_parser = rbd_image)]
    rbd: Option<RbdImage>,
}

/// What `stirrupd quick` serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuickSource {
    /// Memory of this many bytes.
    Memory(u64),
    /// Zeros, of this many bytes.
    Null(u64),
    /// A file or block device.
    File(PathBuf),
    /// An RBD image.
    Rbd(RbdImage),
}

/// An RBD image as `POOL[/NAMESPACE]/IMAGE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RbdImage {
    /// The pool.
    pub pool: String,
    /// The namespace; empty: the default one.
    pub namespace: String,
    /// The image.
    pub image: String,
}

impl QuickArgs {
    /// What to serve.
    ///
    /// # Panics
    /// Never for arguments that the parser accepted: it demands exactly one source.
    #[must_use]
    pub fn source(&self) -> QuickSource {
        let QuickSourceArgs { memory, null, file, rbd } = self.source.clone();
        memory
            .map(QuickSource::Memory)
            .or(null.map(QuickSource::Null))
            .or(file.map(QuickSource::File))
            .or(rbd.map(QuickSource::Rbd))
            .expect("the argument group `volume` is required")
    }
}

fn volume_size(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text)?;
    if !(1 << 20..=1 << 60).contains(&bytes) || !bytes.is_multiple_of(4096) {
        return Err(format!("`{text}` is not a multiple of 4 KiB from 1MiB to 1024PiB"));
    }
    Ok(bytes)
}

fn block_bytes(text: &str) -> Result<u32, String> {
    match text {
        "512" => Ok(512),
        "4096" => Ok(4096),
        _ => Err("use 512 or 4096".into()),
    }
}

fn chap(text: &str) -> Result<Chap, String> {
    match text.split_once(':') {
        Some((user, secret)) if !user.is_empty() && !secret.is_empty() && text.len() <= 512 => {
            Ok(Chap { user: user.to_owned(), secret: Zeroizing::new(secret.to_owned()) })
        }
        _ => Err("write USER:SECRET".into()),
    }
}

fn rbd_image(text: &str) -> Result<RbdImage, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (pool, namespace, image) = match parts[..] {
        [pool, image] => (pool, "", image),
        [pool, namespace, image] => (pool, parse::ceph_name(namespace).map(|_| namespace)?, image),
        _ => return Err(format!("`{text}` is not POOL/IMAGE or POOL/NAMESPACE/IMAGE")),
    };
    Ok(RbdImage {
        pool: parse::ceph_name(pool)?,
        namespace: namespace.to_owned(),
        image: parse::ceph_name(image)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<DaemonCommand, clap::Error> {
        DaemonArgs::try_parse_from(line.split(' ')).map(DaemonArgs::into_command)
    }

    fn quick(line: &str) -> QuickArgs {
        match parse(&format!("stirrupd quick {line}")).unwrap() {
            DaemonCommand::Quick(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn run_is_the_default() {
        let file = |path: &str| DaemonCommand::Run(RunArgs { config: path.into() });
        assert_eq!(parse("stirrupd").unwrap(), file(DEFAULT_PATH));
        assert_eq!(parse("stirrupd --config /x").unwrap(), file("/x"));
        assert_eq!(parse("stirrupd run --config /x").unwrap(), file("/x"));
        assert_eq!(
            parse("stirrupd check-config -c /x").unwrap(),
            DaemonCommand::CheckConfig(RunArgs { config: "/x".into() })
        );
    }

    #[test]
    fn quick_sources() {
        assert_eq!(quick("--memory 1G").source(), QuickSource::Memory(1 << 30));
        assert_eq!(quick("--null 64MiB").source(), QuickSource::Null(64 << 20));
        assert_eq!(quick("--file /x").source(), QuickSource::File("/x".into()));
        let image = |namespace: &str| RbdImage {
            pool: "p".into(),
            namespace: namespace.into(),
            image: "i".into(),
        };
        assert_eq!(quick("--rbd p/i").source(), QuickSource::Rbd(image("")));
        assert_eq!(quick("--rbd p/n/i").source(), QuickSource::Rbd(image("n")));
    }

    #[test]
    fn quick_options() {
        let args = quick(
            "--rbd p/i --listen [::1]:0 --lun 3 --block-size 4096 --read-only --ceph-conf /c \
             --ceph-user u --golden-memory 1M --chap me:a:b --iqn iqn.2026-01.a:b --shards 2 --write-cache --log debug"
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .as_str(),
        );
        assert_eq!(args.listen, "[::1]:0".parse().unwrap());
        assert_eq!((args.lun, args.block_size, args.shards), (3, 4096, 2));
        assert!(args.read_only && args.write_cache);
        assert_eq!((args.ceph_conf, args.ceph_user.as_str()), ("/c".into(), "u"));
        assert_eq!(args.golden_memory, 1 << 20);
        let chap = args.chap.unwrap();
        assert_eq!((chap.user.as_str(), chap.secret.as_str()), ("me", "a:b"));
        assert_eq!((args.iqn.as_str(), args.log.as_str()), ("iqn.2026-01.a:b", "debug"));
    }

    #[test]
    fn refused_with_exit_code_2() {
        for line in [
            "stirrupd quick",
            "stirrupd quick --memory 1G --null 1G",
            "stirrupd quick --memory 1000",
            "stirrupd quick --memory 0",
            "stirrupd quick --memory 1G --lun 16384",
            "stirrupd quick --memory 1G --block-size 1024",
            "stirrupd quick --memory 1G --listen localhost",
            "stirrupd quick --memory 1G --chap me",
            "stirrupd quick --memory 1G --ceph-user u",
            "stirrupd quick --rbd image",
            "stirrupd quick --rbd a/b/c/d",
            "stirrupd quick --rbd a//d",
            "stirrupd --config /x quick --memory 1G",
            "stirrupd frobnicate",
        ] {
            assert_eq!(parse(line).expect_err(line).exit_code(), 2, "{line}");
        }
    }
}
