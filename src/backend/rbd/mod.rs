//! Ceph RBD as a store.
