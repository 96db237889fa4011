//! Clients that mean harm. Whatever one sends, the daemon stays up, its memory stays bounded, the
//! offender gets an answer or loses its connection, and an honest session beside it goes on.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../support/mod.rs"]
mod support;
mod wire;

use std::sync::atomic::{AtomicBool, Ordering};

use support::raw::{BHS_LEN, NO_TAG, Pdu};
use wire::{Daemon, Peer, claiming};

/// What one attack may cost in resident memory at its peak, beyond what the honest session uses.
const RSS_LIMIT_KIB: u64 = 96 << 10;

/// Attacks a daemon while an honest session works on it, then checks that nothing came of it.
fn survives(attack: impl FnOnce(&Daemon)) {
    survives_within(RSS_LIMIT_KIB, attack);
}

fn survives_within(rss_limit_kib: u64, attack: impl FnOnce(&Daemon)) {
    let mut daemon = Daemon::start();
    let mut honest = daemon.log_in(0xfff0);
    honest.get_ready();
    honest.work(0, 1);
    let before = daemon.peak_rss_kib();
    let over = AtomicBool::new(false);
    let honest = std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let mut rounds = 0_u8;
            while !over.load(Ordering::Relaxed) {
                rounds = rounds.wrapping_add(1);
                honest.work(rounds % 64, rounds);
                std::thread::yield_now();
            }
            honest
        });
        // A panic of the attack must not leave the worker running for ever.
        let attacked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attack(&daemon)));
        over.store(true, Ordering::Relaxed);
        let honest = worker.join().expect("the honest session was disturbed");
        attacked.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        honest
    });
    let grown = daemon.peak_rss_kib().saturating_sub(before);
    assert!(grown < rss_limit_kib, "the attack cost {grown} KiB");
    drop(honest);
    // Those that still hold a place for a login lose it when the daemon sees that they are gone.
    let mut newcomer = std::iter::repeat_with(|| daemon.try_log_in(1)).flatten().next().unwrap();
    newcomer.get_ready();
}

/// A deterministic stream of random bytes (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// Sends bytes on a fresh connection and nothing more; the daemon has to close it.
fn send_and_see_closed(daemon: &Daemon, bytes: &[u8]) {
    let mut peer = daemon.connect();
    peer.send_raw(bytes);
    peer.wire.finish_sending();
    while peer.receive().is_some() {}
}

#[test]
fn garbage_instead_of_a_login() {
    survives(|daemon| {
        let mut random = Random(1);
        for round in 0..100 {
            send_and_see_closed(daemon, &random.bytes(round * 41));
        }
        send_and_see_closed(daemon, &[0xff; 4096]);
        send_and_see_closed(daemon, &[0; 4096]);
        send_and_see_closed(daemon, b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n");
    });
}

#[test]
fn every_opcode_before_the_login() {
    survives(|daemon| {
        for opcode in 0..=0xff_u8 {
            if opcode & 0x3f == 0x03 {
                continue;
            }
            let mut peer = daemon.connect();
            let itt = 5;
            peer.send(&Pdu::new(opcode, 0x80).set(16, itt).set(20, NO_TAG), b"");
            // Before the login nothing is answered but with its end (RFC 7143 section 4.2.4).
            while peer.receive().is_some() {}
        }
    });
}

#[test]
fn a_login_that_lies_about_its_length() {
    survives(|daemon| {
        // More than the 8192 bytes that hold before anything was negotiated; none of it is sent.
        for claimed in [0x00ff_ffff, 0x0080_0000, 0x0010_0000] {
            let mut peer = daemon.connect();
            peer.send_raw(&claiming(&daemon.login(1, 0x87), claimed));
            while peer.receive().is_some() {}
        }
        // Additional headers, which a login has not.
        let mut header = daemon.login(1, 0x87);
        header.bhs[4] = 255;
        let mut bytes = header.bhs.to_vec();
        bytes.extend([0xff; 1020]);
        send_and_see_closed(daemon, &bytes);
    });
}

#[test]
fn login_text_that_is_none() {
    survives(|daemon| {
        let mut random = Random(2);
        let long_value = [&b"X-a="[..], &[b'a'; 8000], b"\0"].concat();
        let many_keys = b"a=b\0".repeat(2000);
        let texts: [Vec<u8>; 8] = [
            b"InitiatorName".to_vec(),
            b"=\0=\0=\0".to_vec(),
            vec![b'A'; 8192],
            vec![0; 8192],
            random.bytes(8192),
            long_value,
            many_keys,
            b"InitiatorName=iqn.a\0InitiatorName=iqn.b\0MaxBurstLength=99999999999999999999\0"
                .into(),
        ];
        for text in texts {
            let mut peer = daemon.connect();
            peer.send(&daemon.login(1, 0x87), &text);
            peer.wire.finish_sending();
            while peer.receive().is_some() {}
        }
    });
}

#[test]
fn a_login_that_never_ends_is_ended() {
    survives(|daemon| {
        // C set: more text of the same request follows, for ever. T clear: another round, for ever.
        for (flags, text) in [(0x44, vec![b'a'; 4096]), (0x04, b"X-a=b\0".to_vec())] {
            let mut peer = daemon.connect();
            peer.send(&daemon.login(1, flags), &daemon.login_text());
            let mut rounds = 0;
            while peer.receive().is_some() {
                rounds += 1;
                assert!(rounds < 10_000, "flags {flags:#x}: the daemon listens for ever");
                peer.send(&daemon.login(1, flags), &text);
            }
        }
    });
}

#[test]
fn a_thousand_connections_that_say_nothing() {
    raise_file_limit();
    survives(|daemon| {
        let silent: Vec<_> = (0..1000).map(|_| daemon.connect()).collect();
        drop(silent);
    });
}

/// The default limit of 1024 files is too near to a thousand connections; the daemon inherits it.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum.map_or(Some(8192), |maximum| Some(maximum.min(8192)));
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[test]
fn stalls_half_way_through() {
    survives(|daemon| {
        let mut stalled = Vec::new();
        // Two half-open logins a round: 60 of the 64 that one address may have.
        for index in 1..=30 {
            // In a login's header, in its text, in a command's header, in its data.
            let mut peer = daemon.connect();
            peer.send_raw(&daemon.login(index, 0x87).bhs[..20]);
            stalled.push(peer);
            let mut peer = daemon.connect();
            let mut bytes = claiming(&daemon.login(index, 0x87), 4096);
            bytes.extend([b'a'; 100]);
            peer.send_raw(&bytes);
            stalled.push(peer);
            for whole in [20, BHS_LEN + 100] {
                let mut peer = daemon.log_in(index * 2 + u16::from(whole > 20));
                let command = peer.command(0x20, 8192, &[0x2a, 0, 0, 0, 0, 0, 0, 0, 16, 0]);
                let mut bytes = claiming(&command, 8192);
                bytes.resize(BHS_LEN + 8192, 7);
                peer.send_raw(&bytes[..whole]);
                stalled.push(peer);
            }
        }
        // With all of them hanging, somebody else can still come in and work.
        let mut other = daemon.log_in(0x1234);
        other.get_ready();
        other.work(100, 100);
    });
}

/// Sends a lie in full feature phase, then a ping, and waits for its answer or the end.
fn lie(daemon: &Daemon, attack: impl FnOnce(&mut Peer)) {
    let mut peer = daemon.log_in(7);
    peer.get_ready();
    attack(&mut peer);
    let ping = peer.ping();
    peer.send(&ping, b"");
    peer.answered_or_closed();
}

#[test]
fn commands_that_lie_about_lengths() {
    const WRITE_10: [u8; 10] = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    survives(|daemon| {
        // A data segment beyond MaxRecvDataSegmentLength, of which nothing comes.
        lie(daemon, |peer| {
            let header = peer.command(0x20, 0xffff_ffff, &WRITE_10);
            peer.send_raw(&claiming(&header, 0x00ff_ffff));
        });
        // 4 GiB expected, one block written: at most that block may be asked for.
        for flags in [0x20, 0x40, 0x60, 0x00] {
            lie(daemon, |peer| {
                let header = peer.command(flags, 0xffff_ffff, &WRITE_10);
                peer.send(&header, b"");
            });
        }
        // 2^32 - 1 blocks, from a LUN that has far fewer.
        for opcode in [0x88, 0x8a, 0x8e, 0x8f, 0x93, 0x91, 0x89, 0x42, 0x9e] {
            lie(daemon, |peer| {
                let mut cdb = [0; 16];
                cdb[0] = opcode;
                cdb[10..14].fill(0xff);
                let header = peer.command(0x20, 0xffff_ffff, &cdb);
                peer.send(&header, b"");
            });
        }
        // Additional header segments that overrun what there is of them.
        for (words, bytes) in [(255, [0xff; 1020].to_vec()), (1, vec![0xff, 0xff, 1, 0])] {
            lie(daemon, |peer| {
                let mut header = peer.command(0, 0, &[0; 6]);
                header.bhs[4] = words;
                peer.send_raw(&[&header.bhs[..], &bytes].concat());
            });
        }
    });
}

#[test]
fn data_nobody_asked_for() {
    survives(|daemon| {
        for (itt, ttt, offset, len) in
            [(0x1111, NO_TAG, 0, 512), (0x1111, 5, 0, 8192), (NO_TAG, NO_TAG, 0xffff_fe00, 8192)]
        {
            lie(daemon, |peer| {
                let header = Pdu::new(0x05, 0x80).set(16, itt).set(20, ttt).set(40, offset);
                peer.send(&header, &vec![1; len]);
            });
        }
        // Data-Out of a task that waits for it: beyond its end, out of order, for ever.
        for (offset, data_sn) in [(0xffff_f000, 0), (4096, 0), (0, 77), (1 << 20, 1)] {
            lie(daemon, |peer| {
                let command = peer.command(0x20, 8192, &[0x2a, 0, 0, 0, 0, 0, 0, 0, 16, 0]);
                peer.cmd_sn += 1;
                peer.send(&command, b"");
                let r2t = peer.receive().unwrap();
                assert_eq!(r2t.bhs[0], 0x31, "an R2T for a WRITE without data");
                let header = Pdu::new(0x05, 0)
                    .set(16, r2t.word(16))
                    .set(20, r2t.word(20))
                    .set(36, data_sn)
                    .set(40, offset);
                peer.send(&header, &[1; 4096]);
            });
        }
    });
}

#[test]
fn reads_that_nobody_fetches() {
    // What a shard may hold of its initiators' data, and what any attack may cost.
    let limit_kib = (512 << 10) + RSS_LIMIT_KIB;
    survives_within(limit_kib, |daemon| {
        // 1 GiB asked for in all and nothing taken: the daemon may not hold it in memory, nor
        // have none left for others.
        let idle: Vec<_> = (100..108)
            .map(|index| {
                let mut peer = daemon.log_in(index);
                peer.get_ready();
                for _ in 0..16 {
                    let cdb = [0x28, 0, 0, 0, 0, 0, 0, 0x40, 0, 0];
                    let command = peer.command(0x40, 8 << 20, &cdb);
                    peer.cmd_sn += 1;
                    peer.send(&command, b"");
                }
                peer
            })
            .collect();
        // The daemon works on others meanwhile; by then it has done for these what it will.
        let mut other = daemon.log_in(8);
        other.get_ready();
        // Not on the blocks of the honest session, which reads what it wrote.
        for round in 0..200 {
            other.work(64 + round % 128, round);
        }
        drop(idle);
    });
}

#[test]
fn text_requests_that_never_end() {
    survives(|daemon| {
        let mut peer = daemon.log_in(7);
        let mut ttt = NO_TAG;
        for round in 0_u32..10_000 {
            let header = Pdu::new(0x44, 0x40).set(16, 9).set(20, ttt).set(24, peer.cmd_sn);
            peer.send(&header, &[b'a'; 4096]);
            match peer.receive() {
                Some(answer) if answer.bhs[0] == 0x24 => ttt = answer.ttt(),
                _ => return,
            }
            assert!(round < 9_999, "the daemon listens for ever");
        }
    });
}

#[test]
fn random_headers_in_full_feature_phase() {
    survives(|daemon| {
        let mut random = Random(3);
        // A task management function may rightly end the honest session (TARGET COLD RESET).
        for round in (0..400_u32).filter(|round| round % 64 != 2) {
            lie(daemon, |peer| {
                let mut header = peer.command(0, 0, &[0; 6]);
                header.bhs[0] = (round % 64) as u8 | (random.next() as u8 & 0x40);
                for _ in 0..random.next() % 24 {
                    let at = random.next() as usize % BHS_LEN;
                    // Not the lengths, which are true here, nor a CDB that could reserve the unit.
                    if at > 7 && at != 32 {
                        header.bhs[at] = random.next() as u8;
                    }
                }
                header.bhs[1] = random.next() as u8;
                let len = random.next() as usize % 1024;
                peer.send(&header, &random.bytes(len));
            });
        }
    });
}
