module holdfast/bench/clients

go 1.21
