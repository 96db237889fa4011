//! Where events come from: the catalog's rows, targets, sessions, boot scripts, jobs.

use serde::Serialize;

use super::{Audience, ENDED_MAX, Events, KINDS, OF_ANYBODY_MAX, Ring, Standing};
use crate::catalog::{Job, Noun, RowChange, Watched, Watcher, What};
use crate::control::SessionInfo;
use crate::control::api::events::Event;
use crate::control::api::{jobs, sessions};

impl Events {
    /// A session has logged in.
    pub fn session_began(&self, session: SessionInfo) {
        self.session("session.began", session, None);
    }

    /// A session has ended.
    pub fn session_ended(&self, session: SessionInfo, why: &str) {
        self.session("session.ended", session, Some(why.to_owned()));
    }

    fn session(&self, kind: &'static str, session: SessionInfo, reason: Option<String>) {
        let mut ring = self.0.ring.lock();
        let (project, disk) = ring.project_and_disk(&session, reason.is_none()).unzip();
        let target = session.target.clone();
        let session = Some(sessions::render(session));
        let audience = project.clone().map_or(Audience::All, Audience::Project);
        let event = Event { project, disk, target, session, reason, ..Event::default() };
        self.push(&mut ring, kind, audience, event);
    }

    /// A target is served, or waits for its volume.
    pub fn target_published(&self, target: &str, project: &str, disk: &str, serving: bool) {
        let kind = if serving { "target.serving" } else { "target.waiting" };
        let (project, disk) = (project.to_owned(), disk.to_owned());
        self.target(target, Standing { project, disk, kind, reason: None });
    }

    /// The volume of a target could not be opened.
    pub fn target_failed(&self, target: &str, why: &str) {
        let known = {
            let ring = self.0.ring.lock();
            let of = ring.targets.get(&target.to_ascii_lowercase());
            of.map(|of| (of.project.clone(), of.disk.clone()))
        };
        let Some((project, disk)) = known else { return };
        let (kind, reason) = ("target.failed", Some(why.to_owned()));
        self.target(target, Standing { project, disk, kind, reason });
    }

    /// A target is there no more.
    pub fn target_withdrawn(&self, target: &str) {
        let mut ring = self.0.ring.lock();
        if let Some(before) = ring.targets.remove(&target.to_ascii_lowercase()) {
            self.tell_target(&mut ring, target, "target.withdrawn", &before, None);
        }
    }

    /// Told if it is news.
    fn target(&self, target: &str, standing: Standing) {
        let mut ring = self.0.ring.lock();
        let before = ring.targets.get(&target.to_ascii_lowercase());
        if before.is_some_and(|it| (it.kind, &it.reason) == (standing.kind, &standing.reason)) {
            return;
        }
        self.tell_target(&mut ring, target, standing.kind, &standing, standing.reason.clone());
        ring.targets.insert(target.to_ascii_lowercase(), standing);
    }

    fn tell_target(
        &self,
        ring: &mut Ring,
        target: &str,
        kind: &'static str,
        of: &Standing,
        reason: Option<String>,
    ) {
        let event = Event {
            project: Some(of.project.clone()),
            disk: Some(of.disk.clone()),
            target: Some(target.to_owned()),
            reason,
            ..Event::default()
        };
        self.push(ring, kind, Audience::Project(of.project.clone()), event);
    }

    /// A machine has its boot script, or has none.
    pub(in crate::control) fn boot(&self, kind: &'static str, event: Event) {
        let audience = event.project.clone().map_or(Audience::All, Audience::Project);
        self.push(&mut self.0.ring.lock(), kind, audience, event);
    }

    /// As [`Events::boot`], of what anybody can cause as often as they like: of these there are only so
    /// many at a time.
    pub(in crate::control) fn boot_of_anybody(&self, kind: &'static str, event: Event) {
        let audience = event.project.clone().map_or(Audience::All, Audience::Project);
        let mut ring = self.0.ring.lock();
        self.push(&mut ring, kind, audience, event);
        let number = ring.last;
        ring.of_anybody.push_back(number);
        if ring.of_anybody.len() > OF_ANYBODY_MAX
            && let Some(oldest) = ring.of_anybody.pop_front()
        {
            ring.drop_one(oldest);
        }
    }

    /// How far a job is; takes the place of what was said of it before.
    pub(super) fn job_progress(&self, job: Job) {
        let id = job.id;
        let mut ring = self.0.ring.lock();
        // It may have ended since it was looked at.
        if ring.ended.contains(&id) {
            return;
        }
        if let Some(before) = ring.progress.remove(&id) {
            ring.drop_one(before);
        }
        self.tell_job(&mut ring, "job.progress", job);
        let number = ring.last;
        ring.progress.insert(id, number);
    }

    fn tell_job(&self, ring: &mut Ring, kind: &'static str, job: Job) {
        let job = jobs::render(job);
        let audience = Audience::Project(job.project.clone());
        let event = Event {
            project: Some(job.project.clone()),
            object: Some(job.object.clone()),
            state: Some(job.state.clone()),
            reason: job.error.clone(),
            job: Some(job),
            ..Event::default()
        };
        self.push(ring, kind, audience, event);
    }
}

impl Watcher for Events {
    fn changed(&self, change: RowChange) {
        let RowChange { what, noun, project, name, of, row } = change;
        if noun == Noun::Job {
            return self.job_row(row);
        }
        let Some(kind) = kind(noun, what) else { return };
        let mut event = Event { object: Some(name.clone()), ..Event::default() };
        event.of = of.map(|(kind, name)| format!("{kind} {name}"));
        let audience = match noun {
            Noun::Token | Noun::Certificate => Audience::Admins,
            Noun::Project => Audience::Project(name),
            _ => Audience::Project(project),
        };
        if let Audience::Project(project) = &audience {
            event.project = Some(project.clone());
        }
        if let Some(row) = row {
            describe(&mut event, row);
        }
        self.push(&mut self.0.ring.lock(), kind, audience, event);
    }
}

impl Events {
    fn job_row(&self, row: Option<Watched>) {
        let Some(Watched::Job(job)) = row else { return };
        let mut ring = self.0.ring.lock();
        if !job.state.is_final() {
            return self.tell_job(&mut ring, "job.made", *job);
        }
        if let Some(before) = ring.progress.remove(&job.id) {
            ring.drop_one(before);
        }
        ring.ended.push_back(job.id);
        if ring.ended.len() > ENDED_MAX {
            ring.ended.pop_front();
        }
        self.tell_job(&mut ring, "job.ended", *job);
    }
}

/// The kind of event of a change; one of [`KINDS`].
fn kind(noun: Noun, what: What) -> Option<&'static str> {
    let verb = match what {
        What::Made => "made",
        What::Changed => "changed",
        What::Removed => "removed",
    };
    let noun = noun.to_string();
    let is_it = |kind: &&&str| kind.split_once('.') == Some((noun.as_str(), verb));
    KINDS.iter().find(is_it).copied()
}

/// What an event says of a row. Nothing that is secret.
fn describe(event: &mut Event, row: Watched) {
    match row {
        Watched::Image(image) => event.state = word(image.state),
        Watched::Disk(disk) => {
            event.state = word(disk.state);
            event.image = Some(disk.image.to_string());
            event.node = disk.node.map(|node| node.to_string());
            event.target = Some(disk.target);
        }
        Watched::Node(node) => event.disk = node.disk.map(|disk| disk.to_string()),
        Watched::Tag(tag) => event.state = word(tag.state),
        Watched::Token(token) => event.project = token.project.map(|it| it.to_string()),
        Watched::Certificate(it) => event.project = it.project.map(|it| it.to_string()),
        Watched::Job(_) | Watched::Project(_) => {}
    }
}

/// The name of a state, as it is kept and as the API has it.
fn word(state: impl Serialize) -> Option<String> {
    Some(serde_json::to_value(state).ok()?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::catalog::JobState;

    fn job(state: JobState, done_bytes: u64) -> Job {
        Job {
            id: 7,
            kind: "image-import".to_owned(),
            project: "lab".to_owned(),
            object: "golden".to_owned(),
            state,
            done_bytes,
            total_bytes: 100,
            created: Timestamp::UNIX_EPOCH,
            started: None,
            rate: Some(10),
            finished: None,
            error: None,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn of_a_job_that_runs_only_the_last_word_is_kept() {
        let events = Events::new();
        let kinds = || {
            let ring = events.0.ring.lock();
            assert_eq!(ring.bytes, ring.kept.iter().map(|event| event.json.len()).sum::<usize>());
            ring.kept.iter().map(|event| (event.number, event.kind)).collect::<Vec<_>>()
        };
        let row = |job| Some(Watched::Job(Box::new(job)));
        events.job_row(row(job(JobState::Queued, 0)));
        for done in [10, 20, 30] {
            events.job_progress(job(JobState::Running, done));
        }
        events.boot("boot.refused", Event::default());
        events.job_progress(job(JobState::Running, 40));
        assert_eq!(kinds(), [(1, "job.made"), (5, "boot.refused"), (6, "job.progress")]);
        let said: Event = {
            let ring = events.0.ring.lock();
            serde_json::from_slice(&ring.kept.back().unwrap().json).unwrap()
        };
        let said = said.job.unwrap();
        assert_eq!((said.bytes_per_second, said.seconds_left), (Some(10), Some(6)));
        events.job_row(row(job(JobState::Succeeded, 100)));
        assert_eq!(kinds(), [(1, "job.made"), (5, "boot.refused"), (7, "job.ended")]);
        assert!(events.0.ring.lock().progress.is_empty());
        // It was looked at before it ended, and is told of after that.
        events.job_progress(job(JobState::Running, 90));
        assert_eq!(kinds(), [(1, "job.made"), (5, "boot.refused"), (7, "job.ended")]);
        assert!(events.0.ring.lock().progress.is_empty());
    }

    #[test]
    fn what_anybody_can_cause_pushes_nothing_else_out() {
        let events = Events::new();
        let of_a_node = || Event { object: Some("n1".to_owned()), ..Event::default() };
        events.job_row(Some(Watched::Job(Box::new(job(JobState::Queued, 0)))));
        for _ in 0..20_000 {
            events.boot_of_anybody("boot.refused", of_a_node());
        }
        events.boot("boot.delivered", of_a_node());
        let ring = events.0.ring.lock();
        let kinds: Vec<_> = ring.kept.iter().map(|event| event.kind).collect();
        assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("job.made", "boot.delivered"));
        assert_eq!(kinds.len(), OF_ANYBODY_MAX + 2);
        assert_eq!(ring.kept[1].number, 20_001 - OF_ANYBODY_MAX as u64 + 1, "the last ones");
        assert_eq!(ring.bytes, ring.kept.iter().map(|event| event.json.len()).sum::<usize>());
        assert_eq!((ring.forgotten, ring.of_anybody.len()), (0, OF_ANYBODY_MAX));
    }

    #[test]
    fn every_kind_has_its_name() {
        for noun in [Noun::Image, Noun::Disk, Noun::Node, Noun::Tag, Noun::Project] {
            for what in [What::Made, What::Changed, What::Removed] {
                assert!(kind(noun, what).is_some(), "{noun} {what:?}");
            }
        }
        for noun in [Noun::Token, Noun::Certificate] {
            assert!(kind(noun, What::Removed).is_some(), "{noun}");
        }
    }
}
