import java.net.URI;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.sts.StsClient;

/**
 * Prints who the pod is for STS, with the credentials that AWS SDK for Java v2 finds by itself; then asks anew until
 * that changed.
 */
final class Client {
    private static final long PAUSE_MS = 250;

    public static void main(String[] args) throws InterruptedException {
        String first = who();
        System.out.println(first);
        String next = first;
        while (next.equals(first)) {
            Thread.sleep(PAUSE_MS);
            try {
                next = who();
            } catch (SdkException error) {
                // It fails when the role changes after the client was told of it and before it has its credentials.
                System.err.println(error.getMessage());
            }
        }
        System.out.println(next);
    }

    /** Asks with a provider of its own: this SDK has no way to drop what one holds before its time. */
    private static String who() {
        try (DefaultCredentialsProvider credentials = DefaultCredentialsProvider.builder().build();
                StsClient sts =
                        StsClient.builder()
                                .region(Region.US_EAST_1)
                                .endpointOverride(URI.create(System.getenv("STS_URL")))
                                .credentialsProvider(credentials)
                                .httpClientBuilder(UrlConnectionHttpClient.builder())
                                .build()) {
            return sts.getCallerIdentity().arn();
        }
    }
}
