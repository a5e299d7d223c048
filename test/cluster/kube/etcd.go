package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	genericapiserver "k8s.io/apiserver/pkg/server"
)

// newEtcdCommand runs a one-member etcd on loopback, without fsync: its data dies with the test.
func newEtcdCommand() *cobra.Command {
	var dir string
	var clientPort, peerPort int
	command := &cobra.Command{
		Use:          "etcd",
		SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			stopping := genericapiserver.SetupSignalContext()
			config := embed.NewConfig()
			config.Dir = dir
			config.LogLevel = "warn"
			config.UnsafeNoFsync = true
			client, peer := loopback(clientPort), loopback(peerPort)
			config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
			config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
			config.InitialCluster = config.InitialClusterFromName(config.Name)

			etcd, err := embed.StartEtcd(config)
			if err != nil {
				return err
			}
			defer etcd.Close()
			select {
			case <-etcd.Server.ReadyNotify():
			case err := <-etcd.Err():
				return err
			case <-stopping.Done():
				return nil
			}
			select {
			case err := <-etcd.Err():
				return err
			case <-stopping.Done():
				return nil
			}
		},
	}
	command.Flags().StringVar(&dir, "data-dir", "", "folder of the data")
	command.Flags().IntVar(&clientPort, "client-port", 0, "loopback port for clients")
	command.Flags().IntVar(&peerPort, "peer-port", 0, "loopback port for peers")
	return command
}

func loopback(port int) url.URL {
	return url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}
}
