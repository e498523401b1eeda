//! `status` with a real API server: a node that is not ready is the nodes' trouble, and nobody else's.

use serde_json::{Value, json};

use crate::status::{IMAGE, fill, object, project, status};
use crate::support::cluster::Cluster;
use crate::support::process::run;
use crate::support::server::{self, Registry};
use crate::support::testbed::{BUILDER, Engine, For};

/// How each node of the cluster is.
fn nodes(said: &Value) -> Vec<(&str, &str)> {
    let nodes = said["nodes"].as_array().unwrap().iter().filter(|node| node["source"] == "kubernetes");
    nodes.map(|node| (node["name"].as_str().unwrap(), node["state"].as_str().unwrap())).collect()
}

/// How everything but the cluster's nodes is, without what is another number at each look: ages and loads.
fn others(said: &Value) -> Value {
    let own = said["nodes"].as_array().unwrap().iter().filter(|node| node["source"] != "kubernetes");
    let own: Vec<&Value> = own.map(|node| &node["state"]).collect();
    let pods = said["registry"]["pods"].as_array().unwrap().iter();
    let pods: Vec<Value> = pods
        .map(|pod| {
            json!({"name": pod["name"], "node": pod["node"], "state": pod["state"], "reason": pod["reason"],
                "restarts": pod["restarts"]})
        })
        .collect();
    let platforms = said["platforms"].as_array().unwrap().iter();
    let platforms: Vec<Value> = platforms
        .map(|place| json!({"platform": place["platform"], "node": place["node"], "execution": place["execution"]}))
        .collect();
    json!({"registry": said["registry"]["state"], "cache": said["registry"]["cache"]["state"],
        "pods": pods, "cluster": said["cluster"]["state"], "builder": said["builder"]["state"],
        "platforms": platforms, "own": own})
}

#[tokio::test]
async fn a_node_that_is_not_ready_changes_the_nodes_and_nothing_else() {
    let Some(_engine) = Engine::get(For::Builds) else { return };
    if server::is_missing() {
        return;
    }
    // All of its nodes must be well, so it can't be the one that others use too.
    let Some(cluster) = Cluster::own().await else { return };
    cluster.delete("/api/v1/nodes/arm-1").await;
    let registry = Registry::open();
    fill(&registry);
    let more = format!(
        "[kubernetes]\nkubeconfig = \"{}\"\nnamespace = \"{IMAGE}\"\n\
         [kubernetes.registry]\nservice = \"{IMAGE}-registry\"\nselector = \"app={IMAGE}-registry\"\nport = 5000\n",
        cluster.config.display()
    );
    let project = project(&registry.address(), BUILDER, &more);
    let look = || {
        let ended = run(&mut status(&project));
        (ended.code(), object(&ended))
    };

    let (code, before) = look();
    assert_eq!(code, Some(0), "{before:#}");
    assert_eq!(nodes(&before), [("amd-1", "ready"), ("amd-2", "ready")]);
    assert_eq!(
        (&before["cluster"]["state"], &before["cluster"]["context"]),
        (&"ok".into(), &"testbed".into())
    );
    let pods = before["registry"]["pods"].as_array().unwrap();
    let [pod] = pods.as_slice() else { panic!("{pods:?}") };
    assert_eq!(
        (&pod["name"], &pod["node"]),
        (&format!("{IMAGE}-registry-0").into(), &"amd-1".into()),
        "{pod}"
    );

    cluster.ready("amd-2", "False", "container runtime is down").await;
    let (code, ill) = look();
    assert_eq!(code, Some(3), "{ill:#}");
    assert_eq!(nodes(&ill), [("amd-1", "ready"), ("amd-2", "not_ready")]);
    let node = ill["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "amd-2").unwrap();
    assert!(node["reason"].as_str().unwrap().contains("container runtime is down"), "{node}");
    assert_eq!(others(&ill), others(&before));

    cluster.ready("amd-2", "True", "").await;
    let (code, after) = look();
    assert_eq!((code, nodes(&after)), (Some(0), nodes(&before)), "{after:#}");
    assert_eq!(others(&after), others(&before));
}
