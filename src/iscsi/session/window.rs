//! The command window (RFC 7143 4.2.2.1): ExpCmdSN, MaxCmdSN and serial arithmetic.

/// Which commands may come.
///
/// Every CmdSN that is consumed takes a credit, and [`Window::give_back`] returns it when its
/// command is done. So MaxCmdSN never goes back, and at most `size` commands are in the target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    exp_cmd_sn: u32,
    max_cmd_sn: u32,
}

impl Window {
    /// A window of `size` commands that begins with `first`.
    pub(super) fn new(first: u32, size: u32) -> Self {
        Self { exp_cmd_sn: first, max_cmd_sn: first.wrapping_add(size).wrapping_sub(1) }
    }

    /// The command expected next.
    pub(super) fn exp_cmd_sn(&self) -> u32 {
        self.exp_cmd_sn
    }

    /// The last command that may be sent.
    pub(super) fn max_cmd_sn(&self) -> u32 {
        self.max_cmd_sn
    }

    /// True if a command of this number is to be accepted.
    pub(super) fn contains(&self, cmd_sn: u32) -> bool {
        let open = self.max_cmd_sn.wrapping_sub(self.exp_cmd_sn).wrapping_add(1);
        cmd_sn.wrapping_sub(self.exp_cmd_sn) < open
    }

    /// True if commands are missing before this number, which a request may carry that came after
    /// them: one of the window, or the next beyond it.
    pub(super) fn is_ahead(&self, cmd_sn: u32) -> bool {
        cmd_sn != self.exp_cmd_sn && self.contains(cmd_sn.wrapping_sub(1))
    }

    /// The expected command has been taken.
    pub(super) fn consume(&mut self) {
        self.exp_cmd_sn = self.exp_cmd_sn.wrapping_add(1);
    }

    /// A command that was taken is done.
    pub(super) fn give_back(&mut self) {
        self.max_cmd_sn = self.max_cmd_sn.wrapping_add(1);
    }
}

/// `a` comes before `b` in serial arithmetic (RFC 1982 3.2).
pub(super) fn is_before(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_wrap() {
        assert!(is_before(u32::MAX, 0) && is_before(0, 1) && is_before(5, 5 + (1 << 31) - 1));
        assert!(!is_before(0, u32::MAX) && !is_before(1, 1) && !is_before(2, 1));
    }

    #[test]
    fn what_is_ahead_has_something_missing_before_it() {
        let window = Window::new(u32::MAX - 1, 4);
        assert!(!window.is_ahead(u32::MAX - 1), "nothing is missing");
        assert!([u32::MAX, 0, 1, 2].iter().all(|cmd_sn| window.is_ahead(*cmd_sn)));
        assert!(!window.is_ahead(3) && !window.is_ahead(u32::MAX - 2), "no number of this session");
    }

    #[test]
    fn the_window_wraps_and_closes() {
        let mut window = Window::new(u32::MAX - 1, 4);
        assert_eq!(window.max_cmd_sn(), 1);
        for cmd_sn in [u32::MAX - 1, u32::MAX, 0, 1] {
            assert!(window.contains(cmd_sn));
        }
        assert!(!window.contains(2) && !window.contains(u32::MAX - 2));
        for _ in 0..4 {
            window.consume();
        }
        assert_eq!(window.exp_cmd_sn(), 2);
        assert!((0..10).all(|i| !window.contains(i)), "closed: MaxCmdSN = ExpCmdSN - 1");
        window.give_back();
        assert!(window.contains(2) && !window.contains(3));
    }
}
