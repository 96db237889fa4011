//! Random PERSISTENT RESERVE OUT commands of three nexuses against a model written from SPC-4 5.12,
//! with losses of power in between.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::bench::*;
use super::reservation_registering::{moving, port_id, send};
use super::reservations::*;
use crate::scsi::{Asc, Status};

const HOSTS: usize = 3;

/// The state as the standard's tables speak of it.
#[derive(Default)]
struct Model {
    /// Registered keys, by nexus.
    keys: [Option<u64>; HOSTS],
    /// Type, and who made it.
    reservation: Option<(u8, usize)>,
    generation: u32,
    aptpl: bool,
    /// Unit attention conditions that each has to hear.
    heard: [VecDeque<Asc>; HOSTS],
}

#[derive(Debug, Clone, Copy)]
struct Command {
    host: usize,
    action: u8,
    kind: u8,
    key: u64,
    action_key: u64,
    aptpl: bool,
    /// REGISTER AND MOVE.
    to: usize,
    unregister: bool,
}

/// How a command is to end.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Good,
    Conflict,
    Check(Asc),
}

const BAD_PARAMETER: End = End::Check(Asc::INVALID_FIELD_IN_PARAMETER_LIST);
const BAD_FIELD: End = End::Check(Asc::INVALID_FIELD_IN_CDB);

impl Model {
    fn all_registrants(&self) -> bool {
        matches!(self.reservation, Some((7 | 8, _)))
    }

    fn holds(&self, host: usize) -> bool {
        match self.reservation {
            None => false,
            Some((7 | 8, _)) => self.keys[host].is_some(),
            Some((_, holder)) => holder == host,
        }
    }

    fn tell(&mut self, host: usize, asc: Asc) {
        if !self.heard[host].contains(&asc) {
            self.heard[host].push_back(asc);
        }
    }

    /// Every registered nexus but one hears it.
    fn tell_others(&mut self, but: usize, asc: Asc) {
        for host in (0..HOSTS).filter(|host| *host != but) {
            if self.keys[host].is_some() {
                self.tell(host, asc);
            }
        }
    }

    fn release(&mut self, by: usize) {
        let old = self.reservation.take();
        if matches!(old, Some((5..=8, _))) {
            self.tell_others(by, Asc::RESERVATIONS_RELEASED);
        }
    }

    fn unregister(&mut self, host: usize) {
        let held = self.holds(host);
        self.keys[host] = None;
        let none_left = self.keys.iter().all(Option::is_none);
        if held && (!self.all_registrants() || none_left) {
            self.release(host);
        }
    }

    fn run(&mut self, command: Command) -> End {
        let Command { host, action, kind, key, action_key, aptpl, .. } = command;
        let own = self.keys[host];
        if action == REGISTER || action == IGNORE {
            if action == REGISTER && key != own.unwrap_or(0) {
                return End::Conflict;
            }
            match (own, action_key) {
                (None, 0) => return End::Good,
                (Some(_), 0) => self.unregister(host),
                (_, new) => self.keys[host] = Some(new),
            }
            self.aptpl = aptpl;
            self.generation += 1;
            return End::Good;
        }
        if own != Some(key) {
            return End::Conflict;
        }
        let valid = matches!(kind, 1 | 3 | 5..=8);
        match action {
            PR_RESERVE if !valid => return BAD_FIELD,
            PR_RESERVE => match self.reservation {
                None => self.reservation = Some((kind, host)),
                Some((held, _)) if held == kind && self.holds(host) => {}
                Some(_) => return End::Conflict,
            },
            PR_RELEASE => match self.reservation {
                Some((held, _)) if self.holds(host) && held != kind => {
                    return End::Check(Asc::INVALID_RELEASE_OF_RESERVATION);
                }
                Some(_) if self.holds(host) => self.release(host),
                _ => {}
            },
            CLEAR => {
                self.tell_others(host, Asc::RESERVATIONS_PREEMPTED);
                (self.keys, self.reservation) = ([None; HOSTS], None);
                self.generation += 1;
            }
            PREEMPT | PREEMPT_AND_ABORT => return self.preempt(host, action_key, kind, valid),
            _ => return self.move_to(command),
        }
        End::Good
    }

    /// SPC-4 table 72 (preempting actions).
    fn preempt(&mut self, host: usize, victim: u64, kind: u8, valid: bool) -> End {
        let replaces = match self.reservation {
            Some((7 | 8, _)) => victim == 0,
            Some((_, holder)) => victim != 0 && self.keys[holder] == Some(victim),
            None => false,
        };
        if victim == 0 && !replaces {
            return BAD_PARAMETER;
        }
        if !replaces && !self.keys.contains(&Some(victim)) {
            return End::Conflict;
        }
        if replaces && !valid {
            return BAD_FIELD;
        }
        for other in 0..HOSTS {
            let loses = self.keys[other].is_some_and(|key| victim == 0 || key == victim);
            if !loses || (replaces && other == host) {
                continue;
            }
            self.keys[other] = None;
            if other != host {
                self.tell(other, Asc::REGISTRATIONS_PREEMPTED);
            }
        }
        if replaces {
            let old = self.reservation.replace((kind, host));
            if old.is_some_and(|(old, _)| old != kind) {
                self.tell_others(host, Asc::RESERVATIONS_RELEASED);
            }
        } else if self.all_registrants() && self.keys.iter().all(Option::is_none) {
            self.reservation = None;
        }
        self.generation += 1;
        End::Good
    }

    fn move_to(&mut self, command: Command) -> End {
        let Command { host, action_key, aptpl, to, unregister, .. } = command;
        let Some((kind, _)) = self.reservation else { return BAD_FIELD };
        if self.all_registrants() || !self.holds(host) {
            return End::Conflict;
        }
        if action_key == 0 || to == host {
            return BAD_PARAMETER;
        }
        self.keys[to] = Some(action_key);
        self.reservation = Some((kind, to));
        if unregister {
            self.keys[host] = None;
        }
        self.aptpl = aptpl;
        self.generation += 1;
        End::Good
    }

    fn lose_power(&mut self) {
        if !self.aptpl {
            *self = Self::default();
        }
        self.generation = 0;
        self.heard = Default::default();
    }

    /// Whether a nexus may read, and write.
    fn access(&self, host: usize) -> (bool, bool) {
        let Some((kind, _)) = self.reservation else { return (true, true) };
        let full = self.holds(host) || (kind >= 5 && self.keys[host].is_some());
        (full || matches!(kind, 1 | 5 | 7), full)
    }

    fn reservation_key(&self) -> Option<(u64, u8)> {
        let (kind, holder) = self.reservation?;
        let key = if kind >= 7 { 0 } else { self.keys[holder].unwrap() };
        Some((key, kind))
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    let action = prop_oneof![
        4 => Just(REGISTER), 4 => Just(IGNORE), 4 => Just(PR_RESERVE), 2 => Just(PR_RELEASE),
        1 => Just(CLEAR), 3 => Just(PREEMPT), 1 => Just(PREEMPT_AND_ABORT), 3 => Just(MOVE),
    ];
    let kind = prop_oneof![12 => proptest::sample::select(&TYPES[..]), 1 => 0..16_u8];
    (0..HOSTS, action, kind, 0..3_u64, 0..3_u64, any::<bool>(), 0..HOSTS, any::<bool>()).prop_map(
        |(host, action, kind, key, action_key, aptpl, to, unregister)| Command {
            host,
            action,
            kind,
            key,
            action_key,
            aptpl,
            to,
            unregister,
        },
    )
}

fn real(host: &Host<'_>, command: Command) -> End {
    let Command { action, kind, key, action_key, aptpl, to, unregister, .. } = command;
    let answer = if action == MOVE {
        let flags = u8::from(aptpl) | u8::from(unregister) << 1;
        send(host, MOVE, &moving(key, action_key, flags, 1, &port_id(to as u8)))
    } else {
        out_with_flags(host, action, kind, [key, action_key], u8::from(aptpl))
    };
    match answer.status {
        Status::Good => End::Good,
        Status::ReservationConflict => End::Conflict,
        _ => End::Check(answer.asc()),
    }
}

/// Each hears what it is to hear, no less and no more; then it sees what is.
fn compare(hosts: &[Host<'_>], model: &mut Model) {
    for (number, host) in hosts.iter().enumerate() {
        while let Some(asc) = model.heard[number].pop_front() {
            assert_eq!(host.run(&TUR, &[]).asc(), asc, "host {number}");
        }
        host.put(&TUR, &[]);
        let good = |cdb: &[u8], data: &[u8]| host.status(cdb, data) == Status::Good;
        let found = (good(&READ, &[]), good(&WRITE, &[0; BLOCK]));
        assert_eq!(found, model.access(number), "host {number}");
    }
    let (generation, mut found) = keys(&hosts[0]);
    found.sort_unstable();
    let mut wanted: Vec<u64> = model.keys.iter().flatten().copied().collect();
    wanted.sort_unstable();
    assert_eq!((generation, found), (model.generation, wanted));
    assert_eq!(reservation(&hosts[0]), model.reservation_key());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn random_commands_do_what_the_standard_says(
        lives in proptest::collection::vec(proptest::collection::vec(any_command(), 1..25), 1..4),
        aptpl_always in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        let mut model = Model::default();
        for commands in lives {
            let hosts: Vec<Host<'_>> = (0..HOSTS).map(|number| bench.host(number as u8)).collect();
            compare(&hosts, &mut model);
            for command in commands {
                let command = Command { aptpl: command.aptpl || aptpl_always, ..command };
                let wanted = model.run(command);
                prop_assert_eq!(real(&hosts[command.host], command), wanted, "{:?}", command);
                compare(&hosts, &mut model);
            }
            drop(hosts);
            bench.restart();
            model.lose_power();
        }
    }
}
