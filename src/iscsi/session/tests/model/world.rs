//! The initiator and its driver.

use std::collections::{HashMap, HashSet, VecDeque};

use super::super::*;
use super::job::{Burst, Job, Stage};
use super::steps::{Plan, Setup, Step};
use crate::iscsi::pdu::Snack;

/// RFC 1982, once more.
pub(super) fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

pub(super) struct World {
    pub(super) peer: Peer,
    pub(super) setup: Setup,
    pub(super) cmd_sn: u32,
    pub(super) max_cmd_sn: u32,
    pub(super) exp_cmd_sn: u32,
    pub(super) told_exp_cmd_sn: u32,
    pub(super) stat_sn: u32,
    /// ExpStatSN, and what came since then that has a StatSN.
    pub(super) acknowledged: u32,
    pub(super) statuses: Vec<OutPdu<&'static str>>,
    /// Numbers that the session has, or that count as received.
    pub(super) received: HashSet<u32>,
    pub(super) jobs: Vec<Job>,
    pub(super) last_delivered: Option<u32>,
    /// Answers that are due: a response by tag, the length of a pong by tag.
    pub(super) functions: HashMap<u32, u8>,
    pub(super) pings: HashMap<u32, usize>,
    pub(super) rejects: u32,
    /// Group functions that wait for earlier commands: number and unit.
    pub(super) groups: Vec<(u32, bool)>,
    pub(super) next_itt: u32,
}

pub(super) const STAT_SN: u32 = u32::MAX - 5;
/// Task tags of jobs are below.
pub(super) const OTHER_ITTS: u32 = 1 << 20;

pub(super) fn lun_of(lun: bool) -> u64 {
    if lun { LUN } else { 0 }
}

impl World {
    pub(super) fn new(setup: &Setup, bug: Option<Bug>) -> Self {
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
            acknowledged: STAT_SN,
            statuses: Vec::new(),
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

    pub(super) fn take_itt(&mut self) -> u32 {
        self.next_itt += 1;
        self.next_itt
    }

    /// The number of the next request, or `None` if the window is closed.
    pub(super) fn take_cmd_sn(&mut self, immediate: bool) -> Option<u32> {
        let cmd_sn = self.cmd_sn;
        if !immediate {
            if before(self.max_cmd_sn, cmd_sn) {
                return None;
            }
            self.cmd_sn = cmd_sn.wrapping_add(1);
        }
        Some(cmd_sn)
    }

    pub(super) fn step(&mut self, step: &Step) {
        match step {
            Step::Command(plan) => self.new_command(plan),
            Step::Retry => self.retry(),
            Step::Data { pick, len, broken } => self.data(*pick, *len, *broken),
            Step::Acknowledge => {
                self.acknowledged = self.stat_sn;
                self.statuses.clear();
            }
            Step::Snack { pick, status } => self.snack(*pick, *status),
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

    /// Sends a PDU with what is acknowledged.
    fn send(&mut self, pdu: &impl Pdu, data: &[u8], digest_ok: bool) -> Dest {
        let mut bhs = pdu.encode();
        bhs[28..32].copy_from_slice(&self.acknowledged.to_be_bytes());
        set_data_length(&mut bhs, data.len());
        let dest = self.peer.session.header(&bhs, &[]);
        let collected = if dest == Dest::Collect { data.to_vec() } else { Vec::new() };
        self.peer.session.data(collected, digest_ok);
        dest
    }

    pub(super) fn recovers(&self) -> bool {
        self.setup.params.error_recovery_level > 0
    }

    pub(super) fn new_command(&mut self, plan: &Plan) {
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
        let unsolicited = Burst {
            ttt: RESERVED_TAG,
            start: immediate_data,
            end: burst,
            data_sn: 0,
            lost_from: None,
        };
        self.jobs.push(Job {
            pdu,
            immediate_data,
            plan: plan.clone(),
            stage: Stage::Lost,
            asked: if more { burst } else { immediate_data },
            unsolicited: more.then_some(unsolicited),
            bursts: VecDeque::new(),
            recoveries: VecDeque::new(),
            received: Vec::new(),
            r2ts: 0,
            data_in: 0,
            data_ins: 0,
            end: None,
            answers: 0,
            stat_sn: 0,
        });
        if !plan.lost || plan.immediate {
            self.send_command(self.jobs.len() - 1);
        } else if immediate_data > 0 {
            self.rejects += 1;
            self.send(&pdu, &vec![0; immediate_data as usize], false);
        }
    }

    pub(super) fn send_command(&mut self, i: usize) {
        let job = &mut self.jobs[i];
        job.stage = Stage::Sent;
        let (pdu, immediate_data) = (job.pdu, job.immediate_data);
        let dest = self.send(&pdu, &vec![0; immediate_data as usize], true);
        assert_eq!(matches!(dest, Dest::Task(_, 0)), immediate_data > 0, "{dest:?}");
        if !pdu.immediate {
            self.receive(pdu.cmd_sn);
        }
    }

    /// The session has a number: with it, group functions may be due.
    pub(super) fn receive(&mut self, cmd_sn: u32) {
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

    pub(super) fn lost(&self) -> Option<usize> {
        self.jobs.iter().position(|job| job.stage == Stage::Lost)
    }

    pub(super) fn retry(&mut self) {
        if let Some(i) = self.lost() {
            self.send_command(i);
        }
    }

    pub(super) fn data(&mut self, pick: usize, len: u32, broken: bool) {
        let able: Vec<usize> = (0..self.jobs.len())
            .filter(|i| {
                let job = &self.jobs[*i];
                job.stage != Stage::Lost && (job.unsolicited.is_some() || !job.bursts.is_empty())
            })
            .collect();
        let Some(&i) = able.get(pick % able.len().max(1)) else { return };
        let len_max = len.min(self.setup.params.target_max_recv_data_segment_length);
        let recovers = self.recovers();
        let job = &mut self.jobs[i];
        let is_wanted = !matches!(job.stage, Stage::Ended | Stage::Aborted);
        let Some(burst) = job.unsolicited.as_mut().or(job.bursts.front_mut()) else { return };
        let (offset, len) = (burst.start, len_max.min(burst.end - burst.start));
        burst.start += len;
        let is_final = burst.start == burst.end;
        let pdu = data_out(&job.pdu, burst.ttt, burst.data_sn, offset);
        let pdu = DataOut { is_final, lun: job.pdu.lun, ..pdu };
        burst.data_sn += 1;
        let is_stale = burst.lost_from.is_some();
        let broken = broken && recovers && is_wanted;
        if broken {
            burst.lost_from.get_or_insert(offset);
        }
        let (lost_from, end) = (burst.lost_from, burst.end);
        if is_final && job.unsolicited.take().is_some() {
            job.asked = lost_from.unwrap_or(job.asked);
        } else if is_final {
            job.bursts.pop_front();
            job.recoveries.extend(lost_from.filter(|_| is_wanted).map(|start| (start, end)));
        }
        self.rejects += u32::from(broken);
        let dest = self.send(&pdu, &vec![0; len as usize], !broken);
        match dest {
            Dest::Task(_, at) => assert!(is_wanted && !is_stale && at == offset, "{pdu:?}"),
            _ => assert!(!is_wanted || is_stale, "{dest:?} {pdu:?}"),
        }
    }

    /// Asks for what has come already; the same comes again.
    pub(super) fn snack(&mut self, pick: usize, status: bool) {
        if !self.recovers() {
            return;
        }
        let answered: Vec<usize> = (0..self.jobs.len())
            .filter(|i| self.jobs[*i].answers > 0 && !self.jobs[*i].received.is_empty())
            .filter(|i| !before(self.jobs[*i].stat_sn, self.acknowledged))
            .collect();
        let job = answered.get(pick % answered.len().max(1)).copied();
        let (itt, expected) = match job {
            _ if status => (RESERVED_TAG, self.statuses.clone()),
            Some(i) => (self.jobs[i].pdu.itt, self.jobs[i].received.clone()),
            None => return,
        };
        let snack = Snack {
            kind: status.into(),
            lun: 0,
            itt,
            ttt: RESERVED_TAG,
            exp_stat_sn: 0,
            begin_run: 0,
            run_length: 0,
        };
        self.send(&snack, &[], true);
        let again: Vec<_> = self.peer.sent();
        // ExpCmdSN and MaxCmdSN are the current ones.
        let plain = |pdus: Vec<OutPdu<&'static str>>| -> Vec<OutPdu<&'static str>> {
            pdus.into_iter()
                .map(|mut pdu| {
                    pdu.bhs[28..36].fill(0);
                    pdu
                })
                .collect()
        };
        assert_eq!(plain(again), plain(expected), "exact replicas");
    }

    pub(super) fn look(&mut self) {
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
                Event::Management { itt, function, .. } => {
                    let response = match function {
                        TmfFunction::AbortTask => tmf_response::NO_TASK,
                        _ => tmf_response::COMPLETE,
                    };
                    self.peer.session.management_done(itt, response);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) fn decide(&mut self, id: TaskId) {
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

    pub(super) fn end(&mut self, pick: usize, good_end: bool) {
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

    pub(super) fn function(
        &mut self,
        function: u8,
        lun: u64,
        referenced: Option<&ScsiCommand>,
    ) -> u32 {
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
        self.send(&pdu, &[], true);
        itt
    }

    pub(super) fn abort_task(&mut self, pick: usize) {
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

    pub(super) fn abort_task_set(&mut self, lun: bool) {
        let itt = self.function(2, lun_of(lun), None);
        self.functions.insert(itt, tmf_response::COMPLETE);
        if self.lost().is_some() {
            self.groups.push((self.cmd_sn, lun));
        } else {
            self.mark_aborted(lun, None);
        }
    }

    /// Every task on the unit is aborted, or those before a number.
    pub(super) fn mark_aborted(&mut self, lun: bool, cmd_sn: Option<u32>) {
        for job in self.jobs.iter_mut().filter(|job| job.plan.lun == lun && job.answers == 0) {
            let is_earlier =
                cmd_sn.is_none_or(|cmd_sn| job.pdu.immediate || before(job.pdu.cmd_sn, cmd_sn));
            if is_earlier && !matches!(job.stage, Stage::Lost | Stage::Aborted) {
                job.abort(&mut self.peer);
            }
        }
    }

    pub(super) fn ping(&mut self, immediate: bool, len: usize) {
        let Some(cmd_sn) = self.take_cmd_sn(immediate) else { return };
        let itt = self.take_itt();
        let len = len.min(self.setup.params.target_max_recv_data_segment_length as usize);
        self.pings.insert(itt, len);
        let nop = NopOut { immediate, lun: 0, itt, ttt: RESERVED_TAG, cmd_sn, exp_stat_sn: 0 };
        self.send(&nop, &vec![b'p'; len], true);
        if !immediate {
            self.receive(cmd_sn);
        }
    }

    /// Brings all to an end, and looks at what is left.
    pub(super) fn finish(mut self) {
        while self.lost().is_some() {
            self.step(&Step::Retry);
        }
        for _ in 0..100_000 {
            self.step(&Step::Look);
            let moved = self.peer.session.tasks.len();
            self.step(&Step::Data { pick: 0, len: 8192, broken: false });
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
