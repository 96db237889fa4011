//! Random legal traffic against a model: what RFC 7143 promises an initiator, kept by hand.
//!
//! [`World`] is an initiator that keeps every rule, with a driver of its own; it loses commands
//! now and then, as a wrong data digest does. It checks every PDU that comes back: CmdSN windows,
//! StatSN, DataSN, R2TSN, R2Ts without gap or overlap and within their limits, residuals, and at
//! the end that each command had exactly one answer and every credit came back.

mod checks;
mod job;
mod steps;
mod world;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::steps::{Setup, Step, setup, step};
use self::world::World;
use super::*;

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
