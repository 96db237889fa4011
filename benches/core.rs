//! Micro-benchmarks of the pieces that every command passes: the header parser, the buffers, the
//! digest, and a whole command through the session core. `cargo bench --bench core`.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use stirrup::block::Buffer;
use stirrup::iscsi::login::{Established, Limits, Names, SessionParams, SessionType};
use stirrup::iscsi::pdu::digest::crc32c;
use stirrup::iscsi::pdu::{Pdu, Request, ScsiCommand};
use stirrup::iscsi::session::{self, Completion, Event, Session, Transferred};

fn command(cmd_sn: u32, read: bool) -> ScsiCommand {
    ScsiCommand {
        immediate: false,
        is_final: true,
        read,
        write: !read,
        attribute: 1,
        priority: 0,
        lun: 1 << 48,
        itt: cmd_sn,
        expected_length: 4096,
        cmd_sn,
        exp_stat_sn: 0,
        cdb: [0x28; 16],
    }
}

fn pdu(c: &mut Criterion) {
    let bhs = command(7, true).encode();
    c.bench_function("parse a SCSI Command header", |b| {
        b.iter(|| Request::parse(black_box(&bhs)).unwrap());
    });
}

/// What a command's buffer costs, taken and given back, in two ways.
fn buffers(c: &mut Criterion) {
    for len in [4 << 10, 128 << 10, 1 << 20] {
        let mut group = c.benchmark_group(format!("buffer of {} KiB", len >> 10));
        group.bench_function("chunk list", |b| b.iter(|| Buffer::unfilled(black_box(len))));
        group.bench_function("BytesMut::zeroed", |b| b.iter(|| BytesMut::zeroed(black_box(len))));
        group.bench_function("BytesMut::with_capacity", |b| {
            b.iter(|| BytesMut::with_capacity(black_box(len)));
        });
        group.finish();
    }
}

fn digest(c: &mut Criterion) {
    let mut group = c.benchmark_group("CRC32C");
    for len in [48, 4 << 10, 64 << 10] {
        let data = vec![0x5a; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(format!("{len} bytes"), |b| {
            b.iter(|| crc32c([black_box(data.as_slice())]));
        });
    }
    group.finish();
}

fn established() -> Established {
    Established {
        names: Names {
            initiator_name: "iqn.2026-11.bench:i".into(),
            target_name: Some("iqn.2026-11.bench:t".into()),
            session_type: SessionType::Normal,
            isid: [0; 6],
            tsih: 0,
            cid: 0,
        },
        params: SessionParams {
            initiator_max_recv_data_segment_length: 262_144,
            target_max_recv_data_segment_length: 262_144,
            first_burst_length: 262_144,
            initial_r2t: false,
            ..SessionParams::default()
        },
        cmd_sn: 1,
        stat_sn: 1,
    }
}

/// A 4 KiB command in and its answer out, without socket, SCSI and store.
fn session_core(c: &mut Criterion) {
    for read in [true, false] {
        let name = if read { "session: a read" } else { "session: a write" };
        let mut cmd_sn = 0;
        let mut session: Session<()> =
            Session::new(established(), session::Limits::default(), Limits::default());
        c.bench_function(name, |b| {
            b.iter_batched(
                || {
                    cmd_sn += 1;
                    let mut bhs = command(cmd_sn, read).encode();
                    if !read {
                        stirrup::iscsi::pdu::frame::set_data_length(&mut bhs, 4096);
                    }
                    bhs
                },
                |bhs| {
                    session.header(&bhs, &[]);
                    session.data(Vec::new(), true);
                    let Some(Event::Command(id)) = session.next_event() else { panic!() };
                    assert!(session.admitted(id, if read { 0 } else { 4096 }));
                    let transferred = if read {
                        Transferred::In { data: (), len: 4096 }
                    } else {
                        Transferred::Out(4096)
                    };
                    let sense = Vec::new();
                    session
                        .complete(id, Completion { status: 0, qualifier: 0, sense, transferred });
                    session.next_pdu().unwrap()
                },
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, pdu, buffers, digest, session_core);
criterion_main!(benches);
