//! Images, disks and nodes: the durable truth, its journal, its reconciliation.
