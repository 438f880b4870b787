//! Arguments that a client repeats in headers (`x-mcp-header`).

use serde_json::{Value, json};

use super::stateless::request;
use crate::support::http::{Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

const PACK: &str = r#"
tools:
  sales:
    description: Tells what was sold.
    input:
      type: object
      required: [region]
      properties:
        region: {type: string, x-mcp-header: Region}
        year: {type: integer, default: 2026, x-mcp-header: Year}
        open: {type: boolean, x-mcp-header: Open}
        shop: {type: object, properties: {name: {type: string, x-mcp-header: Shop}}}
    reply: {text: "{{ args.region }} {{ args.year }}"}
"#;

/// Calls the tool with headers; the status, and the text or the error.
async fn sold(url: &str, args: Value, headers: &[(&str, &str)]) -> (u16, String) {
    let params = json!({"name": "sales", "arguments": args});
    let mut call = request(url, None, "tools/call", params);
    for (name, value) in headers {
        call = call.header(format!("mcp-param-{name}"), *value);
    }
    let response = call.send().await.unwrap();
    let status = response.status().as_u16();
    let answer: Value = response.json().await.unwrap();
    let text = answer["result"]["content"][0]["text"].as_str();
    let error = || answer["error"].to_string();
    (status, text.map_or_else(error, str::to_owned))
}

#[tokio::test]
async fn headers_say_what_the_arguments_say() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("shop/shop.yaml", PACK);
    let served = Served::with(&place, "packs: [./shop]\n");
    let url = served.url.as_str();
    let list = request(url, None, "tools/list", json!({})).send().await;
    let list: Value = list.unwrap().json().await.unwrap();
    let listed = &list["result"]["tools"][0]["inputSchema"]["properties"];
    assert_eq!(listed["region"]["x-mcp-header"], "Region", "{list}");

    let eu = || json!({"region": "eu"});
    let all = json!({"region": "Zürich", "year": 5, "open": true, "shop": {"name": "a b"}});
    let zurich = ("Region", "=?base64?WsO8cmljaA==?=");
    let rest = [("year", "5"), ("OPEN", "true"), ("shop", "a b")];
    let headers = [&[zurich][..], &rest].concat();
    for (args, headers, said) in [
        (eu(), &[("Region", "eu")][..], "eu 2026"),
        (eu(), &[("region", "=?base64?ZXU=?=")], "eu 2026"),
        (eu(), &[("region", "eu"), ("other", "x")], "eu 2026"),
        (all.clone(), &headers, "Zürich 5"),
    ] {
        let sold = sold(url, args, headers).await;
        assert_eq!(sold, (200, said.to_owned()), "{headers:?}");
    }
    for (args, headers, named) in [
        (eu(), &[][..], "Mcp-Param-Region"),
        (eu(), &[("region", "us")], "`us`"),
        (eu(), &[("region", "EU")], "`EU`"),
        (eu(), &[("region", "=?base64?ZXU?=")], "Base64"),
        (eu(), &[("region", "=?base64?*?=")], "Base64"),
        (eu(), &[("region", "eu"), ("region", "eu")], "duplicate"),
        // The default is the tool's, not the client's.
        (
            eu(),
            &[("region", "eu"), ("year", "2026")],
            "Mcp-Param-Year",
        ),
        (all, &[&[zurich][..], &rest[..2]].concat(), "Mcp-Param-Shop"),
    ] {
        let (status, error) = sold(url, args, headers).await;
        assert_eq!(status, 400, "{headers:?}: {error}");
        assert!(
            error.contains("-32020") && error.contains(named),
            "{headers:?}: {error}"
        );
    }
    // Clients of earlier versions know nothing of this.
    let web = Web::begin(url).await;
    assert_eq!(web.said("sales", eu()).await, "eu 2026");
}
