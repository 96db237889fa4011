//! Questions for what an image holds: they wait for the cluster, so one at a time is asked for
//! each image, on a thread that may wait; the others wait for their turn.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::contained;
use crate::block::{Completion, CompletionQueue, Done};
use crate::rbd::Image;

/// A question, and where its answer goes.
pub(super) struct Question {
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) max: u32,
    pub(super) tag: u64,
    pub(super) queue: Arc<CompletionQueue>,
}

/// The questions about one image. Bounded by the commands that sessions may have outstanding.
#[derive(Default)]
pub(super) struct Questions {
    asking: bool,
    waiting: VecDeque<Question>,
}

/// Asks, or waits for those that were asked before.
pub(super) fn ask(all: &Arc<Mutex<Questions>>, image: &Arc<Image>, question: Question) {
    let mut questions = all.lock();
    if std::mem::replace(&mut questions.asking, true) {
        return questions.waiting.push_back(question);
    }
    drop(questions);
    ask_on_thread(Arc::clone(all), image, question);
}

fn ask_on_thread(all: Arc<Mutex<Questions>>, image: &Arc<Image>, question: Question) {
    image.later(move |image| {
        let Question { offset, len, max, tag, queue } = question;
        let max = usize::try_from(max).unwrap_or(usize::MAX).max(1);
        let found = contained(|| Ok(image.extents(offset, len, max)?));
        // What it asked for may have been gone.
        let found = found.and_then(|found| match image.is_current() {
            true => Ok(found),
            false => Err(image.not_current()),
        });
        let result = found.map(Done::Extents);
        let next = {
            let mut questions = all.lock();
            let next = questions.waiting.pop_front();
            questions.asking = next.is_some();
            next
        };
        if let Some(next) = next {
            ask_on_thread(all, image, next);
        }
        move || queue.push(Completion { tag, result })
    });
}
