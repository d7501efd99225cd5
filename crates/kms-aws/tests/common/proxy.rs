//! What can go wrong between the store and AWS: a listener before a real server.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of an answer.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    /// So many bytes of it arrive, then the connection closes.
    CutAfter(u64),
    /// In its place comes this status with this body.
    Replaced(u16, &'static str),
}

/// The URL of a proxy before `upstream`; the answers on its first `times` connections meet `fate`.
pub(crate) async fn before(upstream: &str, fate: Fate, times: usize) -> String {
    let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for connection in 0.. {
            let Ok((client, _)) = listener.accept().await else { return };
            let fate = (connection < times).then_some(fate);
            tokio::spawn(serve(client, upstream.clone(), fate));
        }
    });
    url
}

async fn serve(mut client: TcpStream, upstream: String, fate: Option<Fate>) -> std::io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    match fate {
        None => tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop),
        Some(Fate::CutAfter(len)) => {
            let (mut from_client, mut to_client) = client.split();
            let (from_server, mut to_server) = server.split();
            let mut answer = from_server.take(len);
            tokio::select! {
                sent = tokio::io::copy(&mut answer, &mut to_client) => sent.map(drop),
                sent = tokio::io::copy(&mut from_client, &mut to_server) => sent.map(drop),
            }
        }
        Some(Fate::Replaced(status, body)) => {
            let _request = client.read(&mut vec![0; 65536]).await?;
            let head = format!("HTTP/1.1 {status} Fate\r\nContent-Type: application/x-amz-json-1.1\r\nConnection: close\r\n");
            client.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await
        }
    }
}
