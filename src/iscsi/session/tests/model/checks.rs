//! What comes back, PDU by PDU.

use super::super::*;
use super::job::{Burst, Job, Stage};
use super::world::{World, before};

impl World {
    pub(super) fn check_sent(&mut self) {
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

    pub(super) fn check_numbers(&mut self, pdu: &OutPdu<&'static str>) {
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
            self.statuses.push(pdu.clone());
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

    pub(super) fn job(&mut self, itt: u32) -> &mut Job {
        let job = &mut self.jobs[itt as usize];
        assert_ne!(job.stage, Stage::Aborted, "an aborted task is heard of");
        assert_eq!(job.answers, 0, "a task is heard of after its answer");
        job
    }

    pub(super) fn check_data_in(&mut self, pdu: &OutPdu<&'static str>) {
        let data_in: DataIn = parse(pdu);
        let SessionParams { initiator_max_recv_data_segment_length, max_burst_length, .. } =
            self.setup.params;
        let len = u32::try_from(data_len(pdu)).unwrap();
        let recovers = self.recovers();
        let job = self.job(data_in.itt);
        assert!(!job.plan.write && len > 0 && len <= initiator_max_recv_data_segment_length);
        assert_eq!((data_in.data_sn, data_in.buffer_offset), (job.data_ins, job.data_in));
        job.data_ins += 1;
        job.data_in += len;
        let is_last = job.data_in == job.bytes();
        assert!(job.data_in <= job.bytes());
        assert_eq!(data_in.is_final, is_last || job.data_in.is_multiple_of(max_burst_length));
        assert_eq!(data_in.acknowledge, recovers && data_in.is_final && !is_last);
        job.received.push(pdu.clone());
        if let Some((status, overflow)) = data_in.status {
            assert!(is_last && status == 0);
            job.check_answer(status, overflow);
            job.stat_sn = data_in.numbers.stat_sn;
        }
    }

    pub(super) fn check_response(&mut self, response: &ScsiResponse) {
        let job = self.job(response.itt);
        assert_eq!(response.exp_data_sn, job.data_ins, "ExpDataSN");
        assert!(job.unsolicited.is_none() && job.bursts.is_empty(), "data is on its way");
        job.check_answer(response.status, response.overflow);
        job.stat_sn = response.numbers.stat_sn;
    }

    pub(super) fn check_r2t(&mut self, r2t: &R2t) {
        let SessionParams { max_burst_length, max_outstanding_r2t, .. } = self.setup.params;
        let job = self.job(r2t.itt);
        assert!(job.plan.write && job.unsolicited.is_none());
        assert_eq!((r2t.r2t_sn, r2t.lun), (job.r2ts, job.pdu.lun));
        assert!(r2t.desired_length > 0 && r2t.desired_length <= max_burst_length);
        assert!(r2t.ttt != RESERVED_TAG && job.bursts.iter().all(|burst| burst.ttt != r2t.ttt));
        job.r2ts += 1;
        let (start, end) = (r2t.buffer_offset, r2t.buffer_offset + r2t.desired_length);
        if job.recoveries.front() == Some(&(start, end)) {
            job.recoveries.pop_front();
        } else {
            assert_eq!(start, job.asked, "a gap or an overlap");
            job.asked = end;
        }
        assert!(end <= job.bytes(), "more than the command takes");
        job.bursts.push_back(Burst { ttt: r2t.ttt, start, end, data_sn: 0, lost_from: None });
        assert!(job.bursts.len() <= max_outstanding_r2t.into(), "MaxOutstandingR2T");
    }
}
