module holdfast/bench/generator

go 1.21
