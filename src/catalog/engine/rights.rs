//! What takes more of a caller than the call as such.

use super::Engine;
use super::rows::Versioned;
use crate::catalog::error::{Error, ErrorKind};
use crate::catalog::model::Disk;
use crate::catalog::name::Name;
use crate::catalog::tokens::Role;

impl Engine {
    /// The row of a disk that a call is to change, or to hand out the credentials of. A disk that
    /// edits its image is the image itself: what its next clones will hold is written there. So who
    /// may use it is for those to say who may change images. Every call that says it begins here,
    /// with the disk's lock held.
    pub(super) fn disk_row_for(
        &self,
        by: Role,
        project: &Name,
        name: &Name,
    ) -> Result<Versioned<Disk>, Error> {
        let row = self.disk_row(project, name)?;
        if !row.value.edits || by >= Role::Admin {
            return Ok(row);
        }
        let message = format!(
            "disk '{name}' is image '{}' itself, and who may use it takes {} to say, not {by}",
            row.value.image,
            Role::Admin
        );
        Err(Error::new(ErrorKind::Forbidden, "forbidden", message))
    }
}
