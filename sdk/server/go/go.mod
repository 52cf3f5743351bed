module git.example.com/roomservice/roomservice/sdk/server/go

go 1.18
