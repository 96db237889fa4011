//! Images that the store itself opens for writing, for a moment.

use std::ops::Deref;
use std::sync::Arc;

use crate::rbd::{Access, Error, Image, Pool};

/// Once it is dropped, whoever opens the image next waits until it is closed: its lock, too. (The
/// image itself may live on for a little: word of a change may be on its way to it.)
pub(super) struct Moment(Arc<Image>);

impl Moment {
    pub(super) fn open(pool: &Arc<Pool>, image: &str) -> Result<Self, Error> {
        Image::open(pool, image, None, Access::ReadWrite).map(Self)
    }

    pub(super) fn of(image: Arc<Image>) -> Self {
        Self(image)
    }
}

impl Deref for Moment {
    type Target = Arc<Image>;

    fn deref(&self) -> &Arc<Image> {
        &self.0
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        self.0.retire();
    }
}
