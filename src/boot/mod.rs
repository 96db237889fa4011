//! iPXE boot scripts for nodes.
