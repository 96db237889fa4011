//! Random legal traffic against a model: what RFC 7143 promises an initiator, kept by hand.
//!
//! [`World`] is an initiator that keeps every rule, with a driver of its own; it loses commands
//! now and then, as a wrong data digest does. It checks every PDU that comes back: CmdSN windows,
//! StatSN, DataSN, R2TSN, R2Ts without gap or overlap and within their limits, residuals, and at
//! the end that each command had exactly one answer and every credit came back.

use std::collections::{HashMap, HashSet, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::iscsi::pdu::Overflow;

/// What happens next. A `pick` chooses among what is there at that time.
#[derive(Debug, Clone)]
enum Step {
    Command(Plan),
    /// The oldest lost command is sent again.
    Retry,
    /// A Data-Out PDU of up to so many bytes.
    Data {
        pick: usize,
        len: u32,
    },
    /// The driver takes its events.
    Look,
    /// The driver completes a command.
    End {
        pick: usize,
        good: bool,
    },
    AbortTask {
        pick: usize,
    },
    AbortTaskSet {
        lun: bool,
    },
    /// Another session has the unit reset.
    Reset {
        lun: bool,
    },
    Ping {
        immediate: bool,
        len: usize,
    },
}

#[derive(Debug, Clone)]
struct Plan {
    write: bool,
    immediate: bool,
    lun: bool,
    /// Bytes that the initiator expects, and that the command takes or gives.
    expected: u32,
    wanted: u32,
    /// Immediate data, and more unsolicited data, where it is allowed.
    immediate_data: bool,
    unsolicited: bool,
    lost: bool,
    /// The driver ends it without looking at its data.
    refused: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let flags = (any::<[bool; 5]>(), prop::bool::weighted(0.15), prop::bool::weighted(0.1));
    let bytes = || prop_oneof![Just(0u32), Just(512), Just(4096), 0u32..40_000];
    (flags, bytes(), bytes(), any::<bool>(), prop::bool::weighted(0.1)).prop_map(
        |((flags, lost, refused), expected, other, same, immediate)| Plan {
            write: flags[0],
            lun: flags[1],
            immediate,
            expected,
            wanted: if same { expected } else { other },
            immediate_data: flags[2],
            unsolicited: flags[3],
            lost,
            refused,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let pick = || 0usize..8;
    prop_oneof![
        6 => plan().prop_map(Step::Command),
        2 => Just(Step::Retry),
        8 => (pick(), prop_oneof![1u32..5000, Just(8192)])
            .prop_map(|(pick, len)| Step::Data { pick, len }),
        6 => Just(Step::Look),
        5 => (pick(), prop::bool::weighted(0.8)).prop_map(|(pick, good)| Step::End { pick, good }),
        1 => pick().prop_map(|pick| Step::AbortTask { pick }),
        1 => any::<bool>().prop_map(|lun| Step::AbortTaskSet { lun }),
        1 => any::<bool>().prop_map(|lun| Step::Reset { lun }),
        1 => (any::<bool>(), 0usize..9000)
            .prop_map(|(immediate, len)| Step::Ping { immediate, len }),
    ]
}

/// What the session was set up with.
#[derive(Debug, Clone)]
struct Setup {
    params: SessionParams,
    window: u32,
    first: u32,
}

fn setup() -> impl Strategy<Value = Setup> {
    let lengths = (1u32..3, 0u32..4, prop_oneof![Just(512u32), Just(4096)]);
    (any::<[bool; 2]>(), lengths, 1u16..4, 1u32..10, prop_oneof![Just(10u32), Just(u32::MAX - 3)])
        .prop_map(|([initial_r2t, immediate_data], lengths, max_outstanding_r2t, window, first)| {
            let (burst, first_burst, segment) = lengths;
            let params = SessionParams {
                initiator_max_recv_data_segment_length: segment,
                max_burst_length: burst * 8192,
                first_burst_length: (first_burst * 4096).clamp(512, burst * 8192),
                initial_r2t,
                immediate_data,
                max_outstanding_r2t,
                ..params()
            };
            Setup { params, window, first }
        })
}

/// How far a command is, as the initiator and the driver know together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Lost,
    Sent,
    /// The driver has taken it, and waits for data.
    Gathering(TaskId),
    Running(TaskId),
    /// Completed by the driver.
    Ended,
    Aborted,
}

/// Data that was asked for.
#[derive(Debug)]
struct Burst {
    ttt: u32,
    start: u32,
    end: u32,
    data_sn: u32,
}

struct Job {
    pdu: ScsiCommand,
    immediate_data: u32,
    plan: Plan,
    stage: Stage,
    /// The unsolicited data that is not sent yet, then what R2Ts asked for.
    unsolicited: Option<Burst>,
    bursts: VecDeque<Burst>,
    /// End of the data that was sent without being asked for, or was asked for.
    asked: u32,
    r2ts: u32,
    data_in: u32,
    data_ins: u32,
    /// Status and transferred bytes of the completion.
    end: Option<(u8, u64)>,
    answers: u32,
}

impl Job {
    /// What goes over the wire at most for it.
    fn bytes(&self) -> u32 {
        self.plan.wanted.min(self.plan.expected)
    }

    fn has_all_data(&self) -> bool {
        !self.plan.write
            || (self.unsolicited.is_none() && self.bursts.is_empty() && self.asked >= self.bytes())
    }
}

/// RFC 1982, once more.
fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

struct World {
    peer: Peer,
    setup: Setup,
    cmd_sn: u32,
    max_cmd_sn: u32,
    exp_cmd_sn: u32,
    told_exp_cmd_sn: u32,
    stat_sn: u32,
    /// Numbers that the session has, or that count as received.
    received: HashSet<u32>,
    jobs: Vec<Job>,
    last_delivered: Option<u32>,
    /// Answers that are due: a response by tag, the length of a pong by tag.
    functions: HashMap<u32, u8>,
    pings: HashMap<u32, usize>,
    rejects: u32,
    /// Group functions that wait for earlier commands: number and unit.
    groups: Vec<(u32, bool)>,
    next_itt: u32,
}

const STAT_SN: u32 = u32::MAX - 5;
/// Task tags of jobs are below.
const OTHER_ITTS: u32 = 1 << 20;

fn lun_of(lun: bool) -> u64 {
    if lun { LUN } else { 0 }
}

impl World {
    fn new(setup: &Setup, bug: Option<Bug>) -> Self {
        let established = Established {
            cmd_sn: setup.first,
            stat_sn: STAT_SN,
            ..established(SessionType::Normal, setup.params.clone())
        };
        let mut session = Session::new(established, Limits::default(), limits(setup.window));
        session.bug = bug;
        Self {
            peer: Peer { session },
            cmd_sn: setup.first,
            max_cmd_sn: setup.first.wrapping_add(setup.window - 1),
            exp_cmd_sn: setup.first,
            told_exp_cmd_sn: setup.first,
            stat_sn: STAT_SN,
            received: HashSet::new(),
            jobs: Vec::new(),
            last_delivered: None,
            functions: HashMap::new(),
            pings: HashMap::new(),
            rejects: 0,
            groups: Vec::new(),
            next_itt: OTHER_ITTS,
            setup: setup.clone(),
        }
    }

    fn take_itt(&mut self) -> u32 {
        self.next_itt += 1;
        self.next_itt
    }

    /// The number of the next request, or `None` if the window is closed.
    fn take_cmd_sn(&mut self, immediate: bool) -> Option<u32> {
        let cmd_sn = self.cmd_sn;
        if !immediate {
            if before(self.max_cmd_sn, cmd_sn) {
                return None;
            }
            self.cmd_sn = cmd_sn.wrapping_add(1);
        }
        Some(cmd_sn)
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Command(plan) => self.new_command(plan),
            Step::Retry => self.retry(),
            Step::Data { pick, len } => self.data(*pick, *len),
            Step::Look => self.look(),
            Step::End { pick, good } => self.end(*pick, *good),
            Step::AbortTask { pick } => self.abort_task(*pick),
            Step::AbortTaskSet { lun } => self.abort_task_set(*lun),
            Step::Reset { lun } => {
                self.peer.session.abort(Some(lun_of(*lun)));
                self.mark_aborted(*lun, None);
            }
            Step::Ping { immediate, len } => self.ping(*immediate, *len),
        }
        self.check_sent();
    }

    fn new_command(&mut self, plan: &Plan) {
        let immediates = self
            .jobs
            .iter()
            .filter(|job| job.pdu.immediate && !matches!(job.stage, Stage::Ended | Stage::Aborted));
        if plan.immediate && immediates.count() >= 8 {
            return;
        }
        let Some(cmd_sn) = self.take_cmd_sn(plan.immediate) else { return };
        let params = &self.setup.params;
        let burst = params.first_burst_length.min(plan.expected);
        let has_data = plan.write && plan.expected > 0;
        let immediate_data = if has_data && plan.immediate_data && params.immediate_data {
            burst.min(params.target_max_recv_data_segment_length)
        } else {
            0
        };
        let more = has_data && plan.unsolicited && !params.initial_r2t && immediate_data < burst;
        let pdu = ScsiCommand {
            immediate: plan.immediate,
            is_final: !more,
            read: !plan.write,
            write: plan.write,
            lun: lun_of(plan.lun),
            itt: u32::try_from(self.jobs.len()).unwrap(),
            ..read(cmd_sn, plan.expected)
        };
        let unsolicited =
            Burst { ttt: RESERVED_TAG, start: immediate_data, end: burst, data_sn: 0 };
        self.jobs.push(Job {
            pdu,
            immediate_data,
            plan: plan.clone(),
            stage: Stage::Lost,
            asked: if more { burst } else { immediate_data },
            unsolicited: more.then_some(unsolicited),
            bursts: VecDeque::new(),
            r2ts: 0,
            data_in: 0,
            data_ins: 0,
            end: None,
            answers: 0,
        });
        if !plan.lost || plan.immediate {
            self.send_command(self.jobs.len() - 1);
        } else if immediate_data > 0 {
            self.rejects += 1;
            self.peer.send_with_digest(&pdu, &vec![0; immediate_data as usize], false);
        }
    }

    fn send_command(&mut self, i: usize) {
        let job = &mut self.jobs[i];
        job.stage = Stage::Sent;
        let dest = self.peer.send(&job.pdu, &vec![0; job.immediate_data as usize]);
        assert_eq!(matches!(dest, Dest::Task(_, 0)), job.immediate_data > 0, "{dest:?}");
        if !job.pdu.immediate {
            let cmd_sn = job.pdu.cmd_sn;
            self.receive(cmd_sn);
        }
    }

    /// The session has a number: with it, group functions may be due.
    fn receive(&mut self, cmd_sn: u32) {
        self.received.insert(cmd_sn);
        while self.received.remove(&self.exp_cmd_sn) {
            self.exp_cmd_sn = self.exp_cmd_sn.wrapping_add(1);
            let due = |group: &(u32, bool)| group.0 == self.exp_cmd_sn;
            let ready: Vec<_> = self.groups.iter().copied().filter(due).collect();
            let exp_cmd_sn = self.exp_cmd_sn;
            self.groups.retain(|group| group.0 != exp_cmd_sn);
            for (cmd_sn, lun) in ready {
                self.mark_aborted(lun, Some(cmd_sn));
            }
        }
    }

    fn lost(&self) -> Option<usize> {
        self.jobs.iter().position(|job| job.stage == Stage::Lost)
    }

    fn retry(&mut self) {
        if let Some(i) = self.lost() {
            self.send_command(i);
        }
    }

    fn data(&mut self, pick: usize, len: u32) {
        let able: Vec<usize> = (0..self.jobs.len())
            .filter(|i| {
                let job = &self.jobs[*i];
                job.stage != Stage::Lost && (job.unsolicited.is_some() || !job.bursts.is_empty())
            })
            .collect();
        let Some(&i) = able.get(pick % able.len().max(1)) else { return };
        let len_max = len.min(self.setup.params.target_max_recv_data_segment_length);
        let job = &mut self.jobs[i];
        let Some(burst) = job.unsolicited.as_mut().or(job.bursts.front_mut()) else { return };
        let (offset, len) = (burst.start, len_max.min(burst.end - burst.start));
        burst.start += len;
        let is_final = burst.start == burst.end;
        let pdu = data_out(&job.pdu, burst.ttt, burst.data_sn, offset);
        let pdu = DataOut { is_final, lun: job.pdu.lun, ..pdu };
        burst.data_sn += 1;
        if is_final && job.unsolicited.take().is_none() {
            job.bursts.pop_front();
        }
        let is_wanted = !matches!(job.stage, Stage::Ended | Stage::Aborted);
        let dest = self.peer.send(&pdu, &vec![0; len as usize]);
        match dest {
            Dest::Task(_, at) => assert!(is_wanted && at == offset, "{dest:?} {pdu:?}"),
            _ => assert!(!is_wanted, "{dest:?} {pdu:?}"),
        }
    }

    fn look(&mut self) {
        for event in self.peer.events() {
            match event {
                Event::Command(id) => self.decide(id),
                Event::Ready(id) => {
                    let job = self.jobs.iter_mut().find(|job| job.stage == Stage::Gathering(id));
                    let job = job.expect("a task that waits for data");
                    assert!(job.has_all_data(), "executed too early");
                    job.stage = Stage::Running(id);
                }
                Event::Dropped(_) => {}
                Event::Management { itt, .. } => self.peer.session.management_done(itt, 0),
                other => panic!("{other:?}"),
            }
        }
    }

    fn decide(&mut self, id: TaskId) {
        let command = self.peer.session.command(id).expect("an offered task").clone();
        let job = &mut self.jobs[command.itt as usize];
        assert_eq!(job.stage, Stage::Sent, "offered once");
        if !command.immediate {
            let last = self.last_delivered.replace(command.cmd_sn);
            assert!(last.is_none_or(|last| before(last, command.cmd_sn)), "out of order");
            assert!(before(command.cmd_sn, self.exp_cmd_sn), "before it was received");
        }
        let wanted = if job.plan.write { job.plan.wanted } else { 0 };
        if job.plan.refused {
            job.stage = Stage::Ended;
            job.end = Some((2, 0));
            self.peer.session.complete(id, bad());
        } else if self.peer.session.admitted(id, wanted.into()) {
            assert!(job.has_all_data(), "executed too early");
            job.stage = Stage::Running(id);
        } else {
            job.stage = Stage::Gathering(id);
        }
    }

    fn end(&mut self, pick: usize, good_end: bool) {
        let running: Vec<usize> = (0..self.jobs.len())
            .filter(|i| matches!(self.jobs[*i].stage, Stage::Running(_)))
            .collect();
        let Some(&i) = running.get(pick % running.len().max(1)) else { return };
        let job = &mut self.jobs[i];
        let Stage::Running(id) = job.stage else { return };
        let len = u64::from(job.plan.wanted);
        job.stage = Stage::Ended;
        job.end = Some(if good_end { (0, len) } else { (2, 0) });
        let completion = match (good_end, job.plan.write) {
            (false, _) => bad(),
            (true, true) => good(Transferred::Out(len)),
            (true, false) => good(Transferred::In { data: "d", len }),
        };
        self.peer.session.complete(id, completion);
    }

    fn function(&mut self, function: u8, lun: u64, referenced: Option<&ScsiCommand>) -> u32 {
        let itt = self.take_itt();
        let pdu = TaskManagementRequest {
            immediate: true,
            function,
            lun,
            itt,
            referenced_tag: referenced.map_or(RESERVED_TAG, |pdu| pdu.itt),
            cmd_sn: self.cmd_sn,
            exp_stat_sn: 0,
            // That of the request itself for an immediate task (11.5.5).
            ref_cmd_sn: referenced.filter(|pdu| !pdu.immediate).map_or(self.cmd_sn, |p| p.cmd_sn),
            exp_data_sn: 0,
        };
        self.peer.send(&pdu, &[]);
        itt
    }

    fn abort_task(&mut self, pick: usize) {
        let Some(i) = self.jobs.len().checked_sub(pick + 1) else { return };
        let pdu = self.jobs[i].pdu;
        let stage = self.jobs[i].stage;
        // One that has ended may still wait for its data, and then is there.
        let is_there = match stage {
            Stage::Aborted => return,
            Stage::Ended => self.jobs[i].answers == 0,
            _ => true,
        };
        let itt = self.function(1, pdu.lun, Some(&pdu));
        let expected = if is_there { tmf_response::COMPLETE } else { tmf_response::NO_TASK };
        self.functions.insert(itt, expected);
        if is_there {
            self.jobs[i].abort(&mut self.peer);
        }
        if stage == Stage::Lost {
            self.receive(pdu.cmd_sn);
        }
    }

    fn abort_task_set(&mut self, lun: bool) {
        let itt = self.function(2, lun_of(lun), None);
        self.functions.insert(itt, tmf_response::COMPLETE);
        if self.lost().is_some() {
            self.groups.push((self.cmd_sn, lun));
        } else {
            self.mark_aborted(lun, None);
        }
    }

    /// Every task on the unit is aborted, or those before a number.
    fn mark_aborted(&mut self, lun: bool, cmd_sn: Option<u32>) {
        for job in self.jobs.iter_mut().filter(|job| job.plan.lun == lun && job.answers == 0) {
            let is_earlier =
                cmd_sn.is_none_or(|cmd_sn| job.pdu.immediate || before(job.pdu.cmd_sn, cmd_sn));
            if is_earlier && !matches!(job.stage, Stage::Lost | Stage::Aborted) {
                job.abort(&mut self.peer);
            }
        }
    }

    fn ping(&mut self, immediate: bool, len: usize) {
        let Some(cmd_sn) = self.take_cmd_sn(immediate) else { return };
        let itt = self.take_itt();
        let len = len.min(self.setup.params.target_max_recv_data_segment_length as usize);
        self.pings.insert(itt, len);
        let nop = NopOut { immediate, lun: 0, itt, ttt: RESERVED_TAG, cmd_sn, exp_stat_sn: 0 };
        self.peer.send(&nop, &vec![b'p'; len]);
        if !immediate {
            self.receive(cmd_sn);
        }
    }

    fn check_sent(&mut self) {
        for pdu in self.peer.sent() {
            self.check_numbers(&pdu);
            match Opcode::of(&pdu.bhs) {
                Some(Opcode::DataIn) => self.check_data_in(&pdu),
                Some(Opcode::ScsiResponse) => self.check_response(&parse(&pdu)),
                Some(Opcode::R2t) => self.check_r2t(&parse(&pdu)),
                Some(Opcode::TaskManagementResponse) => {
                    let response: TaskManagementResponse = parse(&pdu);
                    let expected = self.functions.remove(&response.itt);
                    assert_eq!(expected, Some(response.response), "{response:?}");
                }
                Some(Opcode::NopIn) => {
                    let nop: NopIn = parse(&pdu);
                    if nop.itt != RESERVED_TAG {
                        let len = self.pings.remove(&nop.itt).expect("one answer to a ping");
                        let most = self.setup.params.initiator_max_recv_data_segment_length;
                        assert_eq!(data_len(&pdu), len.min(most as usize));
                    }
                }
                Some(Opcode::Reject) => {
                    assert_eq!(parse::<Reject>(&pdu).reason, RejectReason::DataDigest);
                    self.rejects = self.rejects.checked_sub(1).expect("nothing else is rejected");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn check_numbers(&mut self, pdu: &OutPdu<&'static str>) {
        let field = |at: usize| u32::from_be_bytes(pdu.bhs[at..at + 4].try_into().unwrap());
        let counts = match Opcode::of(&pdu.bhs) {
            Some(Opcode::R2t) => false,
            Some(Opcode::DataIn) => pdu.bhs[1] & 1 != 0,
            Some(Opcode::NopIn) => field(16) != RESERVED_TAG,
            _ => true,
        };
        if counts {
            assert_eq!(field(24), self.stat_sn, "StatSN");
            self.stat_sn = self.stat_sn.wrapping_add(1);
        }
        // What is answered in its turn does not know yet of what is held behind it.
        let exp_cmd_sn = field(28);
        assert!(!before(exp_cmd_sn, self.told_exp_cmd_sn), "ExpCmdSN went back");
        assert!(!before(self.exp_cmd_sn, exp_cmd_sn), "ExpCmdSN beyond what was sent");
        self.told_exp_cmd_sn = exp_cmd_sn;
        let max_cmd_sn = field(32);
        assert!(!before(max_cmd_sn, self.max_cmd_sn), "MaxCmdSN went back");
        let open = max_cmd_sn.wrapping_sub(exp_cmd_sn).wrapping_add(1);
        assert!(open <= self.setup.window, "a window of {open}");
        self.max_cmd_sn = max_cmd_sn;
    }

    fn job(&mut self, itt: u32) -> &mut Job {
        let job = &mut self.jobs[itt as usize];
        assert_ne!(job.stage, Stage::Aborted, "an aborted task is heard of");
        assert_eq!(job.answers, 0, "a task is heard of after its answer");
        job
    }

    fn check_data_in(&mut self, pdu: &OutPdu<&'static str>) {
        let data_in: DataIn = parse(pdu);
        let SessionParams { initiator_max_recv_data_segment_length, max_burst_length, .. } =
            self.setup.params;
        let len = u32::try_from(data_len(pdu)).unwrap();
        let job = self.job(data_in.itt);
        assert!(!job.plan.write && len > 0 && len <= initiator_max_recv_data_segment_length);
        assert_eq!((data_in.data_sn, data_in.buffer_offset), (job.data_ins, job.data_in));
        job.data_ins += 1;
        job.data_in += len;
        let is_last = job.data_in == job.bytes();
        assert!(job.data_in <= job.bytes());
        assert_eq!(data_in.is_final, is_last || job.data_in % max_burst_length == 0);
        if let Some((status, overflow)) = data_in.status {
            assert!(is_last && status == 0);
            job.check_answer(status, overflow);
        }
    }

    fn check_response(&mut self, response: &ScsiResponse) {
        let job = self.job(response.itt);
        assert_eq!(response.exp_data_sn, job.data_ins, "ExpDataSN");
        assert!(job.unsolicited.is_none() && job.bursts.is_empty(), "data is on its way");
        job.check_answer(response.status, response.overflow);
    }

    fn check_r2t(&mut self, r2t: &R2t) {
        let SessionParams { max_burst_length, max_outstanding_r2t, .. } = self.setup.params;
        let job = self.job(r2t.itt);
        assert!(job.plan.write && job.unsolicited.is_none());
        assert_eq!((r2t.r2t_sn, r2t.buffer_offset, r2t.lun), (job.r2ts, job.asked, job.pdu.lun));
        assert!(r2t.desired_length > 0 && r2t.desired_length <= max_burst_length);
        assert!(r2t.ttt != RESERVED_TAG && job.bursts.iter().all(|burst| burst.ttt != r2t.ttt));
        job.r2ts += 1;
        job.asked += r2t.desired_length;
        assert!(job.asked <= job.bytes(), "more than the command takes");
        let (start, end) = (r2t.buffer_offset, job.asked);
        job.bursts.push_back(Burst { ttt: r2t.ttt, start, end, data_sn: 0 });
        assert!(job.bursts.len() <= max_outstanding_r2t.into(), "MaxOutstandingR2T");
    }

    /// Brings all to an end, and looks at what is left.
    fn finish(mut self) {
        while self.lost().is_some() {
            self.step(&Step::Retry);
        }
        for _ in 0..100_000 {
            self.step(&Step::Look);
            let moved = self.peer.session.tasks.len();
            self.step(&Step::Data { pick: 0, len: 8192 });
            self.step(&Step::End { pick: 0, good: true });
            let sends =
                self.jobs.iter().any(|job| job.unsolicited.is_some() || !job.bursts.is_empty());
            if moved == 0 && !sends {
                break;
            }
        }
        assert!(self.peer.session.is_idle(), "a task is left");
        for job in &self.jobs {
            let due = u32::from(job.stage != Stage::Aborted);
            assert_eq!(job.answers, due, "{:?} {:?}", job.pdu, job.stage);
        }
        self.step(&Step::Ping { immediate: true, len: 0 });
        assert!(self.functions.is_empty() && self.pings.is_empty() && self.rejects == 0);
        let open = self.max_cmd_sn.wrapping_sub(self.exp_cmd_sn).wrapping_add(1);
        assert_eq!(open, self.setup.window, "credits are lost");
        assert_eq!((self.exp_cmd_sn, self.told_exp_cmd_sn), (self.cmd_sn, self.cmd_sn));
    }
}

impl Job {
    /// The session must not let anything of it be heard any more; the driver goes on for a while.
    fn abort(&mut self, peer: &mut Peer) {
        if let Stage::Running(id) = self.stage {
            peer.session.complete(id, good(Transferred::In { data: "d", len: 512 }));
        }
        self.stage = Stage::Aborted;
    }

    fn check_answer(&mut self, status: u8, overflow: Overflow) {
        let (expected_status, transferred) = self.end.expect("completed by the driver");
        assert_eq!(status, expected_status);
        let difference = transferred as i64 - i64::from(self.plan.expected);
        let count = u32::try_from(difference.unsigned_abs()).unwrap();
        let expected = match difference.signum() {
            0 => Overflow::None,
            1 => Overflow::Over(count),
            _ => Overflow::Under(count),
        };
        assert_eq!(overflow, expected, "residual");
        if status == 0 && !self.plan.write {
            assert_eq!(self.data_in, self.bytes(), "all the data comes before the status");
        }
        self.answers += 1;
    }
}

fn play(setup: &Setup, steps: &[Step], bug: Option<Bug>) {
    let mut world = World::new(setup, bug);
    for step in steps {
        world.step(step);
    }
    world.finish();
}

proptest! {
    #[test]
    fn legal_traffic_is_answered_as_the_model_has_it(
        setup in setup(),
        steps in vec(step(), 1..120),
    ) {
        play(&setup, &steps, None);
    }
}

/// The model is worth something only if it sees what is wrong.
#[test]
fn the_model_catches_seeded_bugs() {
    for bug in Bug::ALL {
        let config = Config {
            cases: 256,
            failure_persistence: None,
            max_shrink_iters: 0,
            ..Config::default()
        };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let found = runner.run(&(setup(), vec(step(), 1..120)), |(setup, steps)| {
            // Quietly: a panic of the model is what is looked for.
            let played = std::panic::catch_unwind(|| play(&setup, &steps, Some(bug)));
            prop_assert!(played.is_ok());
            Ok(())
        });
        assert!(found.is_err(), "{bug:?} was not seen");
    }
}
