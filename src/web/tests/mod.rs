//! The server as its clients see it, over real sockets.

mod access;
mod answers;
mod https;
mod limits;
mod openapi;
mod pki;
mod secure;
mod toolkit;
mod writes;
