//! AWS without AWS: LocalStack, which knows the states of keys and believes any signature, and Moto, which checks signatures and IAM policies
//! and lets disabled keys be used.

mod localstack;
mod moto;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

pub use localstack::LocalStack;
pub use moto::{AccessKey, Moto};

/// The region of everything.
pub const REGION: &str = "us-east-1";

/// A Python program beside this file, run by a tool's own Python. It ends when this process does.
fn python(tool: &str, program: &str) -> Command {
    let mut command = Command::new(crate::process::tool(&format!("{tool}/bin/python")));
    command.arg("-B").arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/aws").join(program));
    command
}

/// Whether the server answers this path with a text that holds `expected`.
fn answers(port: u16, path: &str, expected: &str) -> bool {
    get(port, path).is_ok_and(|answer| answer.contains(expected))
}

fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
