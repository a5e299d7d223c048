//! Prints who the pod is for STS, with the credentials that AWS SDK for Rust finds by itself; then drops them and asks
//! anew until that changed.
use std::{env, error::Error, time::Duration};

use aws_config::{BehaviorVersion, Region, identity::IdentityCache};
use aws_sdk_sts::Client;

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(env::var("STS_URL")?)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        // Credentials that have less than a day left are dropped, and none have more.
        .identity_cache(IdentityCache::lazy().buffer_time(A_DAY).build())
        .load()
        .await;
    let sts = Client::new(&settings);
    let first = who(&sts).await?;
    println!("{first}");
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        // It fails when the role changes after the client was told of it and before it has its credentials.
        match who(&sts).await {
            Ok(next) if next != first => {
                println!("{next}");
                return Ok(());
            }
            Ok(_) => {}
            Err(error) => eprintln!("{error}"),
        }
    }
}

async fn who(sts: &Client) -> Result<String, Box<dyn Error>> {
    let identity = sts.get_caller_identity().send().await?;
    Ok(identity.arn().unwrap_or_default().to_owned())
}
