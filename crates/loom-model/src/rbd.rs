//! The standing of an image under loom: somebody asks librbd for something, and somebody else
//! finds the image out of date, waits, and lets go of what is behind it. Nothing must be asked
//! after that.

#[path = "../../../src/rbd/standing.rs"]
#[allow(dead_code, reason = "the product has more uses for it")]
mod standing;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use standing::Standing;

/// How somebody asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Counted,
    /// The seeded bug: it looks, and then asks.
    Uncounted,
}

#[derive(Default)]
struct Image {
    standing: Standing,
    /// What is behind it was let go of.
    released: AtomicBool,
}

impl Image {
    /// One request, if it is allowed.
    fn ask(&self, how: Asks) {
        let counted = match how {
            Asks::Counted => self.standing.ask(),
            Asks::Uncounted => None,
        };
        if counted.is_some() || (how == Asks::Uncounted && self.standing.is_current()) {
            let released = self.released.load(Ordering::Acquire);
            assert!(!released, "asked for what may be gone");
        }
    }

    fn change(&self) {
        self.standing.set_outdated();
        self.standing.wait_asked();
        self.released.store(true, Ordering::Release);
    }
}

fn check(how: Asks) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let image = Arc::new(Image::default());
        image.standing.count();
        let asking = [(); 2].map(|()| {
            let image = Arc::clone(&image);
            thread::spawn(move || image.ask(how))
        });
        image.change();
        for thread in asking {
            thread.join().expect("asked in time");
        }
        assert!(image.standing.ask().is_none());
    });
}

#[test]
fn nothing_is_asked_once_what_is_behind_was_let_go_of() {
    check(Asks::Counted);
}

#[test]
#[should_panic(expected = "asked for what may be gone")]
fn the_model_finds_who_looks_and_then_asks() {
    check(Asks::Uncounted);
}
