//! What an open image knows of those behind it, and what becomes of it when one of them changes.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::ancestors::Ancestor;
use super::standing::{Asking, Standing};
use super::{Access, Error, Image, Parent, Pool};

/// How often an image is opened anew because what is behind it changed at that moment.
const ATTEMPTS: usize = 5;

/// The images behind one that is open, the nearest first, as long as it needs them.
pub(super) struct Lineage<A = Ancestor> {
    chain: Mutex<Vec<Arc<A>>>,
    standing: Standing,
}

impl<A> Default for Lineage<A> {
    fn default() -> Self {
        Self { chain: Mutex::default(), standing: Standing::default() }
    }
}

impl<A> Lineage<A> {
    /// Puts these behind it. Gives them back if one has changed, of which nobody was told then.
    fn attach(&self, chain: Vec<Arc<A>>, has_changed: impl Fn(&A) -> bool) -> Option<Vec<Arc<A>>> {
        self.standing.count();
        self.chain.lock().clone_from(&chain);
        // Now, and not before: who finds a change later lets go of what is here.
        if chain.iter().any(|ancestor| has_changed(ancestor)) {
            self.take();
            return Some(chain);
        }
        None
    }

    /// The images behind it, which stay as they are until this is dropped, whatever becomes of
    /// the image: none of them is removed.
    pub(super) fn keep(&self) -> Vec<Arc<A>> {
        self.chain.lock().clone()
    }

    /// Nothing behind it matters any more.
    pub(super) fn take(&self) -> Vec<Arc<A>> {
        std::mem::take(&mut *self.chain.lock())
    }

    pub(super) fn is_current(&self) -> bool {
        self.standing.is_current()
    }

    fn is_outdated(&self) -> bool {
        self.standing.is_outdated()
    }

    pub(super) fn set_outdated(&self) {
        self.standing.set_outdated();
    }

    /// Permission to hand librbd one request; `None` if the image is not current.
    pub(super) fn ask(&self) -> Option<Asking<'_>> {
        self.standing.ask()
    }

    /// Waits until librbd has all requests that were permitted.
    pub(super) fn wait_asked(&self) {
        self.standing.wait_asked();
    }
}

impl Lineage {
    pub(super) fn set_unsure(&self) {
        let chain = self.chain.lock();
        self.standing.set_unsure(chain.iter().any(|ancestor| ancestor.is_unsure()));
    }

    /// As [`Self::take`], and waits for the end of watches that nobody else needs.
    pub(super) fn release(&self) {
        for ancestor in self.take() {
            if let Some(mut last) = Arc::into_inner(ancestor)
                && let Some(end) = last.take_end()
            {
                end();
            }
        }
        self.set_unsure();
    }

    /// The image itself has another parent now, or none.
    pub(super) fn set_parent(&self, parent: Option<&Parent>) {
        let first = self.chain.lock().first().map(|ancestor| ancestor.key().clone());
        match (first, parent) {
            (Some(_), None) => self.release(),
            (Some(first), Some(parent)) if first != parent.key => self.set_outdated(),
            _ => {}
        }
    }
}

impl Image {
    /// As [`Self::open`]; the image [is told](Self::is_outdated) when one behind it changes.
    ///
    /// # Errors
    /// As [`Self::open`]; EBUSY if what is behind it changes all the time.
    pub fn open_watched(
        pool: &Arc<Pool>,
        image: &str,
        snapshot: Option<&str>,
        access: Access,
    ) -> Result<Arc<Self>, Error> {
        Self::open_with_ancestors(pool, image, || Self::open(pool, image, snapshot, access))
    }

    /// Opens until nothing behind the image has changed meanwhile.
    pub(super) fn open_with_ancestors(
        pool: &Arc<Pool>,
        image: &str,
        open: impl Fn() -> Result<Arc<Self>, Error>,
    ) -> Result<Arc<Self>, Error> {
        // What is watched since it was opened last is watched when it is opened again.
        let mut watched = Vec::new();
        for _ in 0..ATTEMPTS {
            let begun = Instant::now();
            let open = open()?;
            match open.attach(begun) {
                Ok(None) => return Ok(open),
                Ok(Some(chain)) => watched = chain,
                Err(error) => {
                    open.retire();
                    return Err(error);
                }
            }
            open.retire();
            drop(open);
            pool.wait_closed(image);
        }
        drop(watched);
        let message = format!("what is behind {} changes all the time", pool.name_of(image));
        Err(Error::new(Errno::BUSY, message))
    }

    /// What is behind it, if it may have been opened when something of that was otherwise.
    fn attach(self: &Arc<Self>, begun: Instant) -> Result<Option<Vec<Arc<Ancestor>>>, Error> {
        let Some(parent) = self.parent()? else { return Ok(None) };
        // At a snapshot it is the image itself that may lose its parent unheard.
        let first = self.as_parent()?.unwrap_or(parent);
        let chain = self.pool().cluster().ancestors().chain(self.pool(), first)?;
        if chain.is_empty() {
            return Ok(None);
        }
        if chain.iter().any(|ancestor| ancestor.is_younger(begun)) {
            return Ok(Some(chain));
        }
        chain.iter().for_each(|ancestor| ancestor.tell(self));
        let changed = self.lineage().attach(chain, Ancestor::has_changed);
        self.lineage().set_unsure();
        Ok(changed)
    }

    /// One behind this has changed: what it would read may not be there any more. Once true this
    /// stays true; opened anew, the image reads as it did.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.lineage().is_outdated()
    }

    /// What is read through this is what is stored: neither [`Self::is_outdated`], nor in doubt
    /// because the cluster does not answer.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.lineage().is_current()
    }

    /// Stands where a request does that was permitted, and that librbd does not have yet.
    #[cfg(test)]
    pub(crate) fn about_to_ask(&self) -> Option<impl Sized> {
        self.lineage().ask()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    type Flags = Vec<Arc<AtomicBool>>;

    fn two() -> (Flags, Vec<Weak<AtomicBool>>) {
        let chain: Flags = (0..2).map(|_| Arc::default()).collect();
        let watched = chain.iter().map(Arc::downgrade).collect();
        (chain, watched)
    }

    fn are_there(watched: &[Weak<AtomicBool>]) -> bool {
        watched.iter().all(|ancestor| ancestor.strong_count() > 0)
    }

    #[test]
    fn what_is_kept_outlives_a_change() {
        let (lineage, (chain, watched)) = (Lineage::default(), two());
        assert!(lineage.attach(chain, |_| false).is_none());
        let kept = lineage.keep();
        lineage.set_outdated();
        drop(lineage.take());
        assert!(are_there(&watched), "somebody reads on there");
        drop(kept);
        assert!(!are_there(&watched));
    }

    #[test]
    fn a_change_while_it_is_attached_leaves_nothing_held() {
        // Before it was looked for, or just afterwards.
        for seen in [true, false] {
            let (lineage, (chain, watched)) = (Lineage::default(), two());
            let given_back = lineage.attach(chain, |ancestor| {
                if !ancestor.swap(true, Ordering::SeqCst) {
                    lineage.set_outdated();
                    drop(lineage.take());
                }
                seen
            });
            assert_eq!(given_back.is_some(), seen, "and it is opened anew");
            drop(given_back);
            assert!(lineage.is_outdated() && !are_there(&watched));
        }
    }
}
