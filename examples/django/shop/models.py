from django.db import models


class Product(models.Model):
    name = models.CharField(max_length=80)


class Order(models.Model):
    confirmed_by = models.CharField(max_length=80, default="nobody yet")
