// Command go-client prints who the pod is for STS, with the credentials that AWS SDK for Go v2 finds by itself; then
// it drops them and asks anew until that changed.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func main() {
	ctx := context.Background()
	settings, err := config.LoadDefaultConfig(ctx, config.WithRegion("us-east-1"))
	if err != nil {
		log.Fatal(err)
	}
	client := sts.NewFromConfig(settings, func(options *sts.Options) {
		options.BaseEndpoint = aws.String(os.Getenv("STS_URL"))
	})
	who := func() (string, error) {
		identity, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return "", err
		}
		return aws.ToString(identity.Arn), nil
	}
	first, err := who()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(first)
	for {
		time.Sleep(250 * time.Millisecond)
		settings.Credentials.(*aws.CredentialsCache).Invalidate()
		next, err := who()
		// It fails when the role changes after the client was told of it and before it has its credentials.
		if err != nil {
			log.Print(err)
		} else if next != first {
			fmt.Println(next)
			return
		}
	}
}
