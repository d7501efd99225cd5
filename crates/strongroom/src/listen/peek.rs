//! The first byte tells TLS from HTTP.

use std::io;

use tokio::net::TcpStream;

/// The type of a TLS record that holds a handshake. No HTTP method begins with it. Source: RFC 8446, section 5.1.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Tls,
    Plain,
    /// It closed the connection without a word.
    Nothing,
}

/// Waits for the first byte and leaves it in place.
pub(super) async fn first_byte(stream: &TcpStream) -> io::Result<Speaks> {
    let mut byte = [0];
    let len = stream.peek(&mut byte).await?;
    Ok(match (len, byte) {
        (0, _) => Speaks::Nothing,
        (_, [TLS_HANDSHAKE]) => Speaks::Tls,
        _ => Speaks::Plain,
    })
}
