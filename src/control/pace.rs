//! How fast a client that sends or takes an image has to be: each keeps others from a place.

use std::time::Duration;

/// The least that is expected of a client.
#[derive(Debug, Clone, Copy)]
pub struct Pacing {
    /// A client is given up after so long without a byte.
    pub stall: Duration,
    /// After every such time of waiting for it,
    pub window: Duration,
    /// it must have sent, or taken, so many bytes.
    pub bytes: u64,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(60),
            window: Duration::from_secs(5 * 60),
            bytes: 16 << 20,
        }
    }
}

/// A client's pace. The time that a store takes does not count.
pub(super) struct Pace {
    pacing: Pacing,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    pub(super) fn new(pacing: Pacing) -> Self {
        Self { pacing, waited: Duration::ZERO, bytes: 0 }
    }

    /// Counts what came after a wait; whether that is fast enough.
    pub(super) fn keeps_up(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < self.pacing.window {
            return true;
        }
        let enough = self.bytes >= self.pacing.bytes;
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        enough
    }

    /// Why a client is given up that does not keep up.
    pub(super) fn too_slow(&self) -> String {
        let Pacing { window, bytes, .. } = self.pacing;
        format!("less than {bytes} bytes in {} s", window.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_slow_for_long_is_given_up() {
        let second = Duration::from_secs(1);
        let pacing = Pacing { stall: second, window: 10 * second, bytes: 1000 };
        let mut pace = Pace::new(pacing);
        assert!((0..9).all(|_| pace.keeps_up(second, 1)));
        assert!(pace.keeps_up(second, 991), "a burst makes up for it");
        assert!((0..9).all(|_| pace.keeps_up(second, 100)));
        assert!(!pace.keeps_up(second, 99), "and counts once");
        assert!((0..1000).all(|_| pace.keeps_up(Duration::ZERO, 0)), "no wait is the client's");
    }
}
