//! How the kernel shares the processor between the daemon's threads.

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id, thread_schedule_policy,
};

const OTHER: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
const BATCH: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);

/// Makes this thread, and those that it starts from now on, `SCHED_BATCH` (sched(7)): on a busy
/// core none interrupts another to take up one single request, so that requests gather, and each
/// wake-up serves more of them (decision 38). Whoever started the daemon with a policy of their
/// own (chrt(1), `CPUSchedulingPolicy=` of systemd) keeps that, and the niceness stays in any case.
///
/// # Errors
///
/// What the kernel refused, as a text; nothing has changed then.
pub(super) fn batch() -> Result<(), String> {
    if thread_schedule_policy().map_err(|error| error.to_string())? != OTHER {
        return Ok(());
    }
    let nice = rustix::process::getpriority_process(None).map_err(|error| error.to_string())?;
    // The crate sets the niceness too, by a scale of its own.
    let same = (0..=99)
        .filter_map(|value: u8| ThreadPriorityValue::try_from(value).ok())
        .map(ThreadPriority::Crossplatform)
        .find(|priority| priority.to_posix(BATCH).is_ok_and(|found| found == nice))
        .ok_or_else(|| format!("no priority stands for niceness {nice}"))?;
    set_thread_priority_and_policy(thread_native_id(), same, BATCH)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// In a thread of its own: the policy is the thread's.
    fn apart(test: impl FnOnce() + Send + 'static) {
        thread::spawn(test).join().unwrap();
    }

    fn nice() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[test]
    fn threads_started_later_are_batch_too_and_as_nice_as_before() {
        apart(|| {
            let before = nice();
            batch().unwrap();
            apart(move || {
                assert_eq!(thread_schedule_policy(), Ok(BATCH));
                assert_eq!(nice(), before);
            });
        });
    }

    #[test]
    fn a_policy_that_was_chosen_stays() {
        apart(|| {
            let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
            set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle).unwrap();
            batch().unwrap();
            assert_eq!(thread_schedule_policy(), Ok(idle));
        });
    }
}
