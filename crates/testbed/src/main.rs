//! The key servers of the tests for tests in other languages: `strongroom-testbed openbao` starts one, prints what there is to know of it as
//! a line of JSON, and obeys lines on its standard input until that ends. Each is answered by a line: `ok`, or what it printed.
#![forbid(unsafe_code)]

use std::io::{BufRead, Write};

use serde_json::{Value, json};
use strongroom_testbed::barbican::{self, Barbican};
use strongroom_testbed::openbao::OpenBao;
use strongroom_testbed::process::Process;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("openbao") => openbao(OpenBao::start()),
        Some("barbican") => barbican(Barbican::start_with_keystone()),
        _ => {
            eprintln!("strongroom-testbed openbao|barbican");
            std::process::exit(2);
        }
    }
}

fn openbao(mut server: OpenBao) {
    let facts = json!({
        "http": server.http_address(),
        "https": server.https_address(),
        "ca": server.file("ca.pem"),
        "client_cert": server.file("client.pem"),
        "client_key": server.file("client.key"),
        "root_token": server.root_token(),
    });
    serve(&facts, |line| match line.split_once(' ').unwrap_or((line, "")) {
        ("seal", _) => done(server.seal()),
        ("unseal", _) => done(server.unseal()),
        ("bao", rest) => {
            // Words of JSON, so that policies and the like can be told.
            let words: Vec<String> = serde_json::from_str(rest).expect("a list of words");
            let (input, words) = words.split_first().expect("what goes to its standard input, first");
            json!(server.bao_with(&words.iter().map(String::as_str).collect::<Vec<_>>(), input))
        }
        _ => process(server.process(), line),
    });
}

fn barbican(mut server: Barbican) {
    let keystone = server.keystone.as_ref().expect("Keystone was started").url.clone();
    let user = |user: barbican::User| json!({ "name": user.name, "password": user.password, "project": user.project });
    let facts = json!({
        "url": server.url,
        "keystone": keystone,
        "region": barbican::REGION,
        "s3": user(barbican::S3),
        "other": user(barbican::OTHER),
    });
    serve(&facts, |line| process(&mut server.process, line));
}

fn process(process: &mut Process, line: &str) -> Value {
    match line {
        "pause" => done(process.pause()),
        "resume" => done(process.resume()),
        "kill" => done(process.kill()),
        _ => panic!("no such command: {line}"),
    }
}

fn serve(facts: &Value, mut obey: impl FnMut(&str) -> Value) {
    say(facts);
    for line in std::io::stdin().lock().lines() {
        say(&obey(line.expect("a line of standard input").trim()));
    }
}

fn say(value: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}").and_then(|()| out.flush()).expect("somebody reads");
}

fn done((): ()) -> Value {
    json!("ok")
}
