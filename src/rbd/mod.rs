//! librados and librbd, loaded at run time; the one room with `unsafe`.
