//! The catalog's calls as blocking functions over the state, the stores and the exporter.
//!
//! Each mutating call writes its intent first (a row in a state like `creating`), then does what
//! is to be done outside, then says so in the row. What fails half-way is taken back at once; what
//! could not be taken back, because the store failed or the machine did, is taken back when the
//! call is repeated or at the next start (`reconcile`). Callers hold the object's lock.

mod at_work;
mod attach;
mod certificates;
mod copies;
mod disks;
mod exports;
mod images;
mod jobs;
mod making;
mod nodes;
mod outfile;
mod projects;
mod reconcile;
mod resize;
mod rights;
mod rows;
mod secrets;
mod serving;
mod settings;
mod staging;
mod tags;
mod tally;
mod tokens;
mod uploads;
mod used;
mod works;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::backend::{Store, StoreError, StoreErrorKind};
use crate::block::Volume;

use super::Options;
use super::error::{Error, ErrorKind};
use super::export::Exporter;
use super::name::Name;
use super::spec::random;
use super::state::{ABSENT, State, Table};
use super::transfer::Outgoing;
use at_work::AtWork;
use rows::Batch;
use tally::Tallied;
use used::Used;

pub(super) use copies::Reading;
pub use disks::{ExportState, Serving};
pub(super) use images::Import;
pub(super) use making::{Begun, Created};
pub(super) use reconcile::Report;
pub(super) use uploads::{Receiving, Run};

/// The snapshot of an image that its disks are cloned from.
const GOLDEN: &str = "golden";
/// How long a removal waits for the last user of a volume to let go of it.
const IN_USE_WAIT: Duration = Duration::from_secs(5);
const IN_USE_POLL: Duration = Duration::from_millis(20);

/// See the [module](self) docs.
pub(super) struct Engine {
    state: Arc<dyn State>,
    /// The same, as far as it counts.
    tally: Arc<Tallied>,
    stores: BTreeMap<String, Arc<dyn Store>>,
    exporter: Arc<dyn Exporter>,
    options: Options,
    ids: Mutex<Ids>,
    /// What is served now, by `project/name` of the disk.
    serving: DashMap<String, Serving>,
    /// What disks take in their stores, by `project/name`, as far as their volumes do not say.
    used: DashMap<String, Used>,
    /// Disks that a call left published otherwise than their rows say, or not at all.
    unserved: Mutex<Vec<(Name, Name)>>,
    /// The installation as it was when this process began.
    loaded: Installation,
    /// By store: whether it was looked at for images that this catalog should know and does not.
    checked: BTreeMap<String, Mutex<bool>>,
    /// Held while a project with limits is given something.
    quotas: DashMap<Name, Arc<Mutex<()>>>,
    /// What jobs of this process are at.
    at_work: AtWork,
    /// Held while an upload is added.
    uploads: Mutex<()>,
    /// Images that are uploaded, and behind how many bytes of each nothing was ever written, or it was
    /// zeroed since.
    unwritten: Mutex<BTreeMap<String, u64>>,
    /// Held while zeros that nobody had to send go into a checksum.
    counting_zeros: Mutex<()>,
    /// Exports that left something behind.
    unended: Mutex<Vec<Outgoing>>,
}

/// What makes our names in a store ours.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Installation {
    /// 8 hexadecimal digits.
    uid: String,
    /// Numbers from this one on have never been given out.
    next_id: u64,
}

/// Gives out numbers, none twice.
struct Ids {
    installation: Installation,
    revision: u64,
    /// A write failed: what is there now is not known.
    unsure: bool,
}

const INSTALLATION: &str = "installation";

impl Engine {
    /// Over a state, which is made an installation if it is new.
    pub(super) fn new(
        state: Arc<dyn State>,
        stores: BTreeMap<String, Arc<dyn Store>>,
        exporter: Arc<dyn Exporter>,
        options: Options,
    ) -> Result<Self, Error> {
        if !stores.contains_key(&options.default_store) {
            let message =
                format!("the default store '{}' is not configured", options.default_store);
            return Err(Error::invalid("store-unknown", message));
        }
        let tally = Tallied::new(state);
        let state = Arc::clone(&tally) as Arc<dyn State>;
        let ids = Ids::load(state.as_ref())?;
        let loaded = ids.installation.clone();
        let checked = stores.keys().map(|name| (name.clone(), Mutex::new(false))).collect();
        Ok(Self {
            state,
            tally,
            stores,
            exporter,
            options,
            ids: Mutex::new(ids),
            serving: DashMap::new(),
            used: DashMap::new(),
            unserved: Mutex::default(),
            loaded,
            checked,
            quotas: DashMap::new(),
            at_work: AtWork::default(),
            uploads: Mutex::default(),
            unwritten: Mutex::default(),
            counting_zeros: Mutex::default(),
            unended: Mutex::default(),
        })
    }

    /// The stores by name.
    pub(super) fn stores(&self) -> &BTreeMap<String, Arc<dyn Store>> {
        &self.stores
    }

    fn store(&self, name: &str) -> Result<&Arc<dyn Store>, Error> {
        self.stores.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.stores.keys().map(String::as_str).collect();
            let message = format!("no store '{name}' is configured; there is {}", known.join(", "));
            Error::invalid("store-unknown", message)
        })
    }

    /// Applies the batch that `fill` makes for a number that nothing else in this catalog ever
    /// had or will have; the batch and the count of numbers become true together, so that a
    /// number that the catalog does not know of shows that the catalog is an old copy.
    pub(super) fn apply_numbered<T>(
        &self,
        fill: impl FnOnce(&str, u64, &mut Batch) -> Result<T, Error>,
    ) -> Result<(T, u64), Error> {
        let mut ids = self.ids.lock();
        ids.refresh(self.state.as_ref())?;
        let id = ids.installation.next_id;
        let mut batch = Batch::default();
        let value = fill(&ids.installation.uid, id, &mut batch)?;
        let installation = Installation { next_id: id + 1, ..ids.installation.clone() };
        let revision = ids.replace(self.state.as_ref(), batch, installation)?;
        Ok((value, revision))
    }

    /// What our names in a store begin with.
    fn backing_prefix(&self) -> String {
        backing_prefix(&self.ids.lock().installation.uid)
    }

    /// Removes what we made in a store, with its snapshots; what is not there is no error.
    fn remove_backing(&self, store: &dyn Store, backing: &str) -> Result<(), Error> {
        let snapshots = match store.stat(backing) {
            Ok(stat) => stat.snapshots,
            // What is left of a removal that broke off can look like this.
            Err(error) if error.kind() == StoreErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        for snapshot in snapshots {
            gone_is_fine(store.remove_snapshot(backing, &snapshot))?;
        }
        Ok(patiently(|| gone_is_fine(store.remove(backing)))?)
    }
}

/// Does what needs an image that nobody has open: the last reference to a volume may be with a thread
/// that is about to drop it.
fn patiently(work: impl Fn() -> Result<(), StoreError>) -> Result<(), StoreError> {
    let deadline = Instant::now() + IN_USE_WAIT;
    loop {
        match work() {
            Err(error) if error.kind() == StoreErrorKind::InUse && Instant::now() < deadline => {
                std::thread::sleep(IN_USE_POLL);
            }
            other => return other,
        }
    }
}

fn gone_is_fine(result: Result<(), StoreError>) -> Result<(), StoreError> {
    match result {
        Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What the names of an installation in a store begin with; after it the kind and the number.
fn backing_prefix(uid: &str) -> String {
    format!("stirrup-{uid}-")
}

impl Ids {
    fn load(state: &dyn State) -> Result<Self, Error> {
        if let Some(row) = rows::load::<Installation>(state, Table::Meta, INSTALLATION)? {
            return Ok(Self { installation: row.value, revision: row.revision, unsure: false });
        }
        let installation = Installation { uid: new_uid()?, next_id: 1 };
        let mut ids = Self { installation: installation.clone(), revision: ABSENT, unsure: false };
        ids.replace(state, Batch::default(), installation)?;
        Ok(ids)
    }

    /// Reads what is there if a write before may or may not have happened.
    fn refresh(&mut self, state: &dyn State) -> Result<(), Error> {
        if self.unsure {
            *self = Self::load(state)?;
        }
        Ok(())
    }

    /// Applies `batch` together with a new installation row.
    fn replace(
        &mut self,
        state: &dyn State,
        mut batch: Batch,
        installation: Installation,
    ) -> Result<u64, Error> {
        batch.put(Table::Meta, INSTALLATION, self.revision, &installation)?;
        self.unsure = true;
        let revision = batch.apply(state)?;
        *self = Self { installation, revision, unsure: false };
        Ok(revision)
    }
}

fn new_uid() -> Result<String, Error> {
    Ok(format!("{:08x}", u32::from_be_bytes(random::<4>()?)))
}

/// The key of a row that belongs to a project.
pub(in crate::catalog) fn key(
    project: &impl std::fmt::Display,
    name: &impl std::fmt::Display,
) -> String {
    format!("{project}/{name}")
}

/// An object is in a state that another call, or a restart, will end.
pub(in crate::catalog) fn busy(message: String) -> Error {
    Error::new(ErrorKind::Conflict, "busy", message)
}

const FOREIGN: &str = "store-image-foreign";

/// The store has an image of a name that nothing else ever had.
fn foreign(store: &str, backing: &str) -> Error {
    let message = format!(
        "store '{store}' has an image '{backing}' that this catalog did not make: is the catalog \
         an old copy? Restart stirrupd to have it reconciled"
    );
    Error::new(ErrorKind::Conflict, FOREIGN, message)
}

/// What a volume is held as.
type Held = Option<Arc<dyn Volume>>;
