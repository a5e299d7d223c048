module rolecall/test/cluster/pause

go 1.26
