//! The key servers of the tests for tests in other languages: `strongroom-testbed openbao` starts one, prints what there is to know of it as
//! a line of JSON, and obeys lines on its standard input until that ends. Each is answered by a line: `ok`, or what it printed.
#![forbid(unsafe_code)]
#![allow(clippy::unit_arg, reason = "what a command does, and that it was done, in one line")]

use std::io::{BufRead, Write};

use serde_json::{Value, json};
use strongroom_testbed::aws::{self, LocalStack};
use strongroom_testbed::barbican::{self, Barbican};
use strongroom_testbed::openbao::OpenBao;
use strongroom_testbed::process::Process;
use strongroom_testbed::pykmip::PyKmip;
use strongroom_testbed::softhsm::{MODULE, SoftHsm};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("openbao") => openbao(OpenBao::start()),
        Some("barbican") => barbican(Barbican::start_with_keystone()),
        Some("localstack") => localstack(LocalStack::start()),
        Some("pykmip") => pykmip(PyKmip::start()),
        Some("softhsm") => softhsm(&SoftHsm::new()),
        _ => {
            eprintln!("strongroom-testbed openbao|barbican|localstack|pykmip|softhsm");
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
            let words = words(rest);
            let (input, words) = words.split_first().expect("what goes to its standard input, first");
            json!(server.bao_with(&strs(words), input))
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

fn localstack(mut server: LocalStack) {
    let facts = json!({ "url": server.url, "region": aws::REGION });
    serve(&facts, |line| process(&mut server.process, line));
}

fn pykmip(mut server: PyKmip) {
    let facts = json!({
        "address": server.address(),
        "ca": server.file("ca.pem"),
        "client_cert": server.file("client.pem"),
        "client_key": server.file("client.key"),
    });
    serve(&facts, |line| match line.split_once(' ').unwrap_or((line, "")) {
        ("pause", _) => done(server.pause()),
        ("resume", _) => done(server.resume()),
        ("kill", _) => done(server.kill()),
        ("restart", _) => done(server.restart()),
        ("python", rest) => json!(server.python(&words(rest).join("\n"))),
        _ => panic!("no such command: {line}"),
    });
}

fn softhsm(token: &SoftHsm) {
    let facts = json!({ "module": MODULE, "conf": token.conf() });
    serve(&facts, |line| match line.split_once(' ').unwrap_or((line, "")) {
        ("add-token", rest) => {
            let [label, pin] = &words(rest)[..] else { panic!("add-token takes a label and a PIN") };
            done(token.add_token(label, pin))
        }
        ("tool", rest) => {
            let words = words(rest);
            let [label, pin, arguments @ ..] = &words[..] else { panic!("tool takes a label, a PIN and arguments") };
            json!(token.tool(label, pin, &strs(arguments)))
        }
        ("take-away", _) => done(token.take_away()),
        ("put-back", _) => done(token.put_back()),
        _ => panic!("no such command: {line}"),
    });
}

/// Words of JSON, so that policies and the like can be told.
fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).expect("a list of words")
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
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
