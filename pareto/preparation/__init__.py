"""What is made before the first trial: data, θ_o, retrained models, scores, proxies, prices."""
